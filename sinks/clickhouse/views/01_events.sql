-- The events, each once: what came again has replaced itself. Read these, never the tables beneath.

CREATE OR REPLACE VIEW submissions AS
SELECT request_id, run, 'video' AS kind, tenant, project, priority, broker_time, content,
       file_name AS title, media_uri AS input_uri, media_size AS input_size
FROM video_submitted FINAL
UNION ALL
SELECT request_id, run, 'prompt' AS kind, tenant, project, priority, broker_time, content,
       leftUTF8(prompt, 200) AS title, '' AS input_uri, length(prompt) AS input_size
FROM prompt_submitted FINAL
COMMENT 'One row a request, run and content; a request id used for two contents has two, and stands in id_conflicts';

CREATE OR REPLACE VIEW features AS
SELECT * FROM features_extracted FINAL
COMMENT 'One row a recording seen';

CREATE OR REPLACE VIEW artifacts AS
SELECT * FROM artifact_generated FINAL
COMMENT 'One row a project generated, validated or not';

CREATE OR REPLACE VIEW verdicts AS
SELECT * FROM verdict_given FINAL
COMMENT 'One row a request and run that ended';

CREATE OR REPLACE VIEW progress AS
SELECT * FROM request_progressed FINAL
COMMENT 'Signs of life';

CREATE OR REPLACE VIEW usage AS
SELECT *, in_uncached + in_cache_read + in_cache_write AS in_total, out_text + out_reasoning AS out_total
FROM usage_recorded FINAL
COMMENT 'One row a metered event, in its latest revision';

CREATE OR REPLACE VIEW metrics AS
SELECT * FROM metrics_recorded FINAL
COMMENT 'One row a stage, worker and second';

CREATE OR REPLACE VIEW anomalies AS
SELECT * FROM anomaly_raised FINAL
COMMENT 'Windows that lie outside what is usual';

CREATE OR REPLACE VIEW audit AS
SELECT * FROM audit_recorded FINAL
COMMENT 'What people and operator commands did';

CREATE OR REPLACE VIEW dead_letters AS
SELECT * FROM dead_lettered FINAL
COMMENT 'Records that a stage gave up';

CREATE OR REPLACE VIEW isolated_runs AS
SELECT DISTINCT run FROM audit_recorded FINAL WHERE run != '' AND details['isolated'] = 'true'
COMMENT 'Replays whose results count for nobody: an audit event of the run has isolated = true among its details';
