-- How long does a stage take, from its input published to its output published? Seconds, over original runs.
SELECT
  stage,
  count() AS steps,
  quantileExact(0.5)(seconds) AS p50_s,
  quantileExact(0.95)(seconds) AS p95_s,
  max(seconds) AS max_s
FROM (
  SELECT 'extract' AS stage, dateDiff('millisecond', submissions.broker_time, features.broker_time) / 1000 AS seconds
  FROM features INNER JOIN submissions ON submissions.request_id = features.request_id AND submissions.run = features.run
  WHERE features.run = ''
  UNION ALL
  SELECT 'plan and generate' AS stage, dateDiff('millisecond', began.at, artifacts.broker_time) / 1000 AS seconds
  FROM artifacts
  INNER JOIN (
    SELECT request_id, max(at) AS at
    FROM (SELECT request_id, broker_time AS at FROM features WHERE run = '' UNION ALL SELECT request_id, broker_time AS at FROM submissions WHERE run = '')
    GROUP BY request_id
  ) AS began ON began.request_id = artifacts.request_id
  WHERE artifacts.run = '' AND artifacts.round = 0
  UNION ALL
  SELECT 'validate' AS stage, dateDiff('millisecond', artifacts.broker_time, verdicts.broker_time) / 1000 AS seconds
  FROM verdicts INNER JOIN artifacts ON artifacts.request_id = verdicts.request_id AND artifacts.run = verdicts.run AND artifacts.round = verdicts.round
  WHERE verdicts.run = '' AND verdicts.stage = 'validate'
  UNION ALL
  SELECT 'the whole request' AS stage, dateDiff('millisecond', submissions.broker_time, verdicts.broker_time) / 1000 AS seconds
  FROM verdicts INNER JOIN submissions ON submissions.request_id = verdicts.request_id AND submissions.run = verdicts.run
  WHERE verdicts.run = ''
)
GROUP BY stage
ORDER BY indexOf(['extract', 'plan and generate', 'validate', 'the whole request'], stage)
