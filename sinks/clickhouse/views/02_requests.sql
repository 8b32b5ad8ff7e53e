-- A request as its owner sees it: the verdict of the latest live run that has one, the money of every run.

CREATE OR REPLACE VIEW requests AS
SELECT
  submitted.request_id AS id,
  submitted.tenant AS tenant,
  submitted.project AS project,
  submitted.kind AS kind,
  submitted.priority AS priority,
  multiIf(verdict.state != '', verdict.state, step.steps > 0, 'running', 'accepted') AS state,
  verdict.reason AS reason,
  UUIDv7ToDateTime(id, 'UTC') AS submitted_at,
  if(verdict.state != '', verdict.occurred_at, NULL) AS ended_at,
  if(metered.unpriced > 0, NULL, metered.cost_usd) AS cost_usd,
  metered.unpriced AS unpriced,
  metered.events AS usage_events,
  verdict.usage_events AS usage_events_expected,
  arraySum(arrayMap((r, n) -> if(r = verdict.run, n, 0), metered.runs, metered.events_of_run)) AS usage_events_of_run,
  verdict.message AS message,
  verdict.run AS run,
  verdict.round AS round,
  verdict.stage AS stage,
  verdict.method AS method,
  verdict.version AS version,
  verdict.artifact_uri AS artifact_uri,
  verdict.artifact_size AS artifact_size,
  verdict.artifact_digest AS artifact_digest,
  verdict.report_uri AS report_uri,
  verdict.report_json_uri AS report_json_uri,
  verdict.errors AS errors,
  verdict.warnings AS warnings,
  verdict.findings AS findings,
  verdict.scores AS scores,
  verdict.retry_after_s AS retry_after_s,
  submitted.title AS title,
  submitted.input_uri AS input_uri,
  submitted.input_size AS input_size
FROM (
  -- Whoever came first under an id has registered it.
  SELECT
    request_id,
    argMin(tenant, broker_time) AS tenant,
    argMin(project, broker_time) AS project,
    argMin(kind, broker_time) AS kind,
    argMin(priority, broker_time) AS priority,
    argMin(title, broker_time) AS title,
    argMin(input_uri, broker_time) AS input_uri,
    argMin(input_size, broker_time) AS input_size
  FROM submissions
  GROUP BY request_id
) AS submitted
LEFT JOIN (
  -- Runs are '' or UUIDv7 texts: the greatest is the latest. Ids are minted by producers: what another tenant writes under one is not its.
  SELECT * FROM verdicts WHERE run NOT IN (SELECT run FROM isolated_runs) ORDER BY request_id, tenant, run DESC LIMIT 1 BY request_id, tenant
) AS verdict ON verdict.request_id = submitted.request_id AND verdict.tenant = submitted.tenant
LEFT JOIN (
  SELECT
    request_id,
    tenant,
    sum(ifNull(cost, 0)) AS cost_usd,
    sum(unpriced_of_run) AS unpriced,
    sum(events_of_one) AS events,
    groupArray(run) AS runs,
    groupArray(events_of_one) AS events_of_run
  FROM (
    SELECT request_id, tenant, run, sum(cost_usd) AS cost, countIf(isNull(cost_usd)) AS unpriced_of_run, count() AS events_of_one
    FROM usage
    GROUP BY request_id, tenant, run
  )
  GROUP BY request_id, tenant
) AS metered ON metered.request_id = submitted.request_id AND metered.tenant = submitted.tenant
LEFT JOIN (
  SELECT request_id, tenant, count() AS steps
  FROM (
    SELECT request_id, tenant, run FROM features
    UNION ALL
    SELECT request_id, tenant, run FROM artifacts
    UNION ALL
    SELECT request_id, tenant, run FROM progress
  )
  WHERE run NOT IN (SELECT run FROM isolated_runs)
  GROUP BY request_id, tenant
) AS step ON step.request_id = submitted.request_id AND step.tenant = submitted.tenant
COMMENT 'One row a request. cost_usd is NULL where a price is not known (unpriced events); it has all its usage when usage_events_of_run = usage_events_expected';

CREATE OR REPLACE VIEW timeline AS
SELECT * FROM (
  SELECT request_id, run, broker_time AS at, 'submitted' AS what, '' AS stage, concat(kind, ' ', title) AS detail FROM submissions
  UNION ALL
  SELECT request_id, run, occurred_at AS at, 'progress' AS what, stage, concat(toString(round(fraction * 100)), '% ', message) AS detail FROM progress
  UNION ALL
  SELECT request_id, run, broker_time AS at, 'features' AS what, 'extract' AS stage,
         concat(toString(screens), ' screens, ', toString(actions), ' actions in ', toString(round(duration_s, 1)), ' s') AS detail
  FROM features
  UNION ALL
  SELECT request_id, run, broker_time AS at, 'artifact' AS what, 'generate' AS stage, concat(method, ', ', toString(artifact_size), ' bytes') AS detail FROM artifacts
  UNION ALL
  SELECT request_id, run, broker_time AS at, 'usage' AS what, stage,
         concat(kind, ' ', toString(quantity), ' ', unit, ', ', if(isNull(cost_usd), 'price not known', concat(toString(cost_usd), ' USD'))) AS detail
  FROM usage
  UNION ALL
  SELECT assumeNotNull(toUUIDOrNull(request_id)) AS request_id, run, broker_time AS at, 'dead letter' AS what, stage, concat(reason, ': ', message) AS detail
  FROM dead_letters WHERE isNotNull(toUUIDOrNull(dead_letters.request_id))
  UNION ALL
  SELECT request_id, run, broker_time AS at, state AS what, stage, concat(reason, if(reason != '' AND message != '', ': ', ''), message) AS detail FROM verdicts
)
COMMENT 'What happened to requests and when it was published; filter by request_id, order by at';

CREATE OR REPLACE VIEW validation_results AS
SELECT
  request_id, run, round, tenant, project, occurred_at, state, method,
  finding.gate AS gate, finding.rule AS rule, finding.severity AS severity, finding.message AS message, finding.file AS file, finding.line AS line
FROM verdicts
ARRAY JOIN findings AS finding
COMMENT 'One row a finding; a verdict carries its first 100, its report all';

CREATE OR REPLACE VIEW id_conflicts AS
SELECT source, event_id, revision
FROM (
  SELECT source, event_id, revision, min(least) AS low, max(greatest) AS high FROM id_contents GROUP BY source, event_id, revision
)
WHERE low != high
UNION ALL
SELECT 'submissions' AS source, request_id AS event_id, toUInt32(0) AS revision
FROM submissions
GROUP BY request_id, run
HAVING uniqExact(kind, content) > 1
COMMENT 'Alarm: ids under which there were two contents. Always empty, unless somebody breaks the rules of identity';

CREATE OR REPLACE VIEW unpriced_usage AS
SELECT * FROM usage WHERE isNull(cost_usd)
COMMENT 'Alarm: metered events whose price is not known';
