-- Why are requests rejected, and what had been spent on them by then?
SELECT tenant, reason, stage, count() AS requests, sum(unpriced) AS unpriced_events, sum(ifNull(cost_usd, 0)) AS priced_usd, any(message) AS for_example
FROM requests
WHERE state = 'rejected'
GROUP BY tenant, reason, stage
ORDER BY requests DESC, tenant, reason
