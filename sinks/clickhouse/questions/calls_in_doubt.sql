-- Which provider calls are in doubt, so that the provider may charge for more than our bill says?
SELECT
  toDate(occurred_at) AS day,
  tenant,
  provider,
  model,
  count() AS calls,
  uniqExact(request_id) AS requests
FROM usage
WHERE outcome = 'in_doubt'
GROUP BY day, tenant, provider, model
ORDER BY day, tenant, provider, model
