-- How busy are the stages? From the runner's own metrics: records, time in the handler and in the queue, processor time.
SELECT
  stage,
  sum(records_done) AS records,
  sum(records_done * handler_ms_p50) / greatest(sum(records_done), 1) AS handler_ms_p50,
  max(handler_ms_p95) AS handler_ms_p95_worst,
  max(handler_ms_max) AS handler_ms_max,
  max(queue_ms_max) AS queue_ms_max,
  sum(cpu_seconds) AS cpu_seconds,
  sum(retries) AS retries,
  sum(dead_letters) AS dead_letters,
  sumMap(errors) AS errors_by_class
FROM (SELECT * REPLACE (CAST(errors, 'Map(String, UInt64)') AS errors) FROM metrics)
GROUP BY stage
ORDER BY stage
