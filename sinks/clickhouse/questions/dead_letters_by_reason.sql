-- What do stages give up, and why?
SELECT stage, reason, topic, count() AS records, min(occurred_at) AS first, max(occurred_at) AS last, any(message) AS for_example
FROM dead_letters
GROUP BY stage, reason, topic
ORDER BY records DESC, stage, reason
