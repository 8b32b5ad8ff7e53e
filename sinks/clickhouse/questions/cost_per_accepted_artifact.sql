-- What does an accepted artifact cost, by tenant? Everything counts: repair rounds, rejected requests, replays.
SELECT
  tenant,
  countIf(state = 'validated') AS accepted,
  countIf(state = 'rejected') AS rejected,
  sum(unpriced) AS unpriced_events,
  sum(known_usd) AS spent_usd,
  sumIf(known_usd, state = 'rejected') AS spent_on_rejected_usd,
  if(accepted = 0, NULL, toDecimal128(spent_usd, 10) / greatest(accepted, 1)) AS usd_per_accepted
FROM (
  SELECT requests.tenant AS tenant, requests.state AS state, requests.unpriced AS unpriced, spent.known_usd AS known_usd
  FROM requests
  LEFT JOIN (SELECT request_id, sum(ifNull(cost_usd, 0)) AS known_usd FROM usage GROUP BY request_id) AS spent ON spent.request_id = requests.id
)
GROUP BY tenant
ORDER BY tenant
