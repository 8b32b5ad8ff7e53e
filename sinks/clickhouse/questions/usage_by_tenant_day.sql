-- What did each tenant use, day by day?
SELECT
  tenant,
  toDate(occurred_at) AS day,
  kind,
  provider,
  model,
  unit,
  count() AS events,
  uniqExact(request_id) AS requests,
  sum(quantity) AS quantity,
  sum(in_total) AS tokens_in,
  sum(out_total) AS tokens_out,
  countIf(isNull(usage.cost_usd)) AS unpriced_events,
  sum(ifNull(usage.cost_usd, 0)) AS cost_usd,
  sum(saved_usd) AS saved_usd
FROM usage
GROUP BY tenant, day, kind, provider, model, unit
ORDER BY tenant, day, kind, provider, model, unit
