-- What a model was asked and answered, beside the artifact that came of it.

ALTER TABLE artifact_generated ADD COLUMN IF NOT EXISTS task_uri Nullable(String) COMMENT 'What a model was asked and answered, where one made it' AFTER frames_uri;

-- Of an artifact without a task the hash is what it was, so that rows from before are told apart from others as they always were.
ALTER TABLE artifact_generated MODIFY COLUMN content UInt64 MATERIALIZED if(task_uri IS NULL, sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, method, artifact_uri, artifact_size, artifact_digest, ifNull(features_uri, ''), ifNull(frames_uri, '')), sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, method, artifact_uri, artifact_size, artifact_digest, ifNull(features_uri, ''), ifNull(frames_uri, ''), ifNull(task_uri, ''))) COMMENT 'Compared in id_contents';
