-- When a request must be done, as its producer said.

ALTER TABLE video_submitted ADD COLUMN IF NOT EXISTS deadline Nullable(DateTime64(3, 'UTC')) COMMENT 'When it must be done' AFTER file_name;

ALTER TABLE prompt_submitted ADD COLUMN IF NOT EXISTS deadline Nullable(DateTime64(3, 'UTC')) COMMENT 'When it must be done' AFTER prompt;

ALTER TABLE features_extracted ADD COLUMN IF NOT EXISTS deadline Nullable(DateTime64(3, 'UTC')) COMMENT 'Of the submission' AFTER actions;

-- Of a record without one the hash is what it was, so that rows from before are told apart from others as they always were.
ALTER TABLE video_submitted MODIFY COLUMN content UInt64 MATERIALIZED if(deadline IS NULL, sipHash64(tenant, project, priority, media_uri, media_size, media_type, file_name), sipHash64(tenant, project, priority, media_uri, media_size, media_type, file_name, ifNull(deadline, toDateTime64(0, 3, 'UTC')))) COMMENT 'In the key: whoever reuses an id with other content replaces nobody';

ALTER TABLE prompt_submitted MODIFY COLUMN content UInt64 MATERIALIZED if(deadline IS NULL, sipHash64(tenant, project, priority, prompt), sipHash64(tenant, project, priority, prompt, ifNull(deadline, toDateTime64(0, 3, 'UTC')))) COMMENT 'In the key: whoever reuses an id with other content replaces nobody';

ALTER TABLE features_extracted MODIFY COLUMN content UInt64 MATERIALIZED if(deadline IS NULL, sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, features_uri, frames_uri, features_size, duration_s, frames, width, height, screens, actions), sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, features_uri, frames_uri, features_size, duration_s, frames, width, height, screens, actions, ifNull(deadline, toDateTime64(0, 3, 'UTC')))) COMMENT 'Compared in id_contents';
