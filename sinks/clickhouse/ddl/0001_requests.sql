-- What happened to requests. A table's columns are called as the fields of its Avro schema, so that ClickHouse reads the records themselves.
--
-- Common to all tables:
--   event_time   the time bits of the id: partitions and orders, and says nothing else. Reports group by occurred_at.
--   broker_time  the Kafka record's time: when the step was published. Of equal events the first published one stays (earliest).
--   Keys and partitions hold only what the id fixes: what comes again, however batched, replaces itself.

CREATE TABLE IF NOT EXISTS video_submitted (
  request_id UUID COMMENT 'The request, a UUIDv7',
  tenant LowCardinality(String) COMMENT 'As the producer wrote it, not yet checked',
  project LowCardinality(String) COMMENT 'As tenant',
  run String COMMENT 'Empty, except where a replay submitted again',
  priority LowCardinality(String) DEFAULT 'normal' COMMENT 'critical, high, normal or low',
  media_uri String COMMENT 'Claim check of the recording',
  media_size UInt64 COMMENT 'Bytes',
  media_type LowCardinality(String) DEFAULT 'video/mp4' COMMENT 'Media type, as the producer says',
  file_name String COMMENT 'As the producer calls it',
  broker_time DateTime64(3, 'UTC') COMMENT 'When the broker appended it',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(request_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(tenant, project, priority, media_uri, media_size, media_type, file_name) COMMENT 'In the key: whoever reuses an id with other content replaces nobody',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  CONSTRAINT v7 CHECK substring(toString(request_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), request_id, run, content)
COMMENT 'Topic video.submitted';

CREATE TABLE IF NOT EXISTS prompt_submitted (
  request_id UUID COMMENT 'The request, a UUIDv7',
  tenant LowCardinality(String) COMMENT 'As the producer wrote it, not yet checked',
  project LowCardinality(String) COMMENT 'As tenant',
  run String COMMENT 'Empty, except where a replay submitted again',
  priority LowCardinality(String) DEFAULT 'normal' COMMENT 'critical, high, normal or low',
  prompt String COMMENT 'Sentences, or a spec in YAML',
  broker_time DateTime64(3, 'UTC') COMMENT 'When the broker appended it',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(request_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(tenant, project, priority, prompt) COMMENT 'In the key: whoever reuses an id with other content replaces nobody',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  CONSTRAINT v7 CHECK substring(toString(request_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), request_id, run, content)
COMMENT 'Topic prompt.submitted';

CREATE TABLE IF NOT EXISTS features_extracted (
  event_id UUID COMMENT 'Deterministic',
  request_id UUID COMMENT 'The request',
  tenant LowCardinality(String),
  project LowCardinality(String),
  run String COMMENT 'Empty for the original',
  round UInt32 COMMENT 'Repair round',
  priority LowCardinality(String) DEFAULT 'normal',
  occurred_at DateTime64(3, 'UTC') COMMENT 'Of the step; a step that is not recorded takes it from its input',
  usage_events UInt32 COMMENT 'Usage events of the request so far in its run',
  features_uri String COMMENT 'The features document',
  frames_uri String COMMENT 'Keyframe names and their objects',
  features_size UInt64 COMMENT 'Bytes',
  duration_s Float64 COMMENT 'Of the recording, seconds',
  frames UInt64 COMMENT 'Of the recording',
  width UInt32 COMMENT 'Pixels',
  height UInt32 COMMENT 'Pixels',
  screens UInt32 COMMENT 'Settled intervals seen',
  actions UInt32 COMMENT 'Actions seen',
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, features_uri, frames_uri, features_size, duration_s, frames, width, height, screens, actions) COMMENT 'Compared in id_contents',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
COMMENT 'Topic features.extracted';

CREATE TABLE IF NOT EXISTS artifact_generated (
  event_id UUID COMMENT 'Deterministic',
  request_id UUID COMMENT 'The request',
  tenant LowCardinality(String),
  project LowCardinality(String),
  run String COMMENT 'Empty for the original',
  round UInt32 COMMENT 'Repair round',
  priority LowCardinality(String) DEFAULT 'normal',
  occurred_at DateTime64(3, 'UTC') COMMENT 'Of the step; a step that is not recorded takes it from its input',
  usage_events UInt32 COMMENT 'Usage events of the request so far in its run',
  method LowCardinality(String) COMMENT 'reconstruct, compose or model',
  artifact_uri String COMMENT 'The project, a zip',
  artifact_size UInt64 COMMENT 'Bytes',
  artifact_digest String COMMENT 'SHA-256 over the project''s files',
  features_uri Nullable(String) COMMENT 'The recording''s features',
  frames_uri Nullable(String) COMMENT 'The recording''s keyframes',
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, method, artifact_uri, artifact_size, artifact_digest, ifNull(features_uri, ''), ifNull(frames_uri, '')) COMMENT 'Compared in id_contents',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
COMMENT 'Topic artifact.generated';

CREATE TABLE IF NOT EXISTS verdict_given (
  event_id UUID COMMENT 'Deterministic',
  request_id UUID COMMENT 'The request',
  tenant LowCardinality(String),
  project LowCardinality(String),
  run String COMMENT 'Empty for the original',
  round UInt32 COMMENT 'Repair round',
  priority LowCardinality(String) DEFAULT 'normal',
  occurred_at DateTime64(3, 'UTC') COMMENT 'When the request ended',
  usage_events UInt32 COMMENT 'Usage events of the request in this run, all of them',
  state LowCardinality(String) COMMENT 'validated or rejected',
  reason LowCardinality(String) COMMENT 'Stable code; empty where validated',
  message String COMMENT 'For a person',
  stage LowCardinality(String) COMMENT 'Who ended the request',
  method LowCardinality(String) COMMENT 'reconstruct, compose or model',
  artifact_uri String COMMENT 'The project, a zip',
  artifact_size UInt64 COMMENT 'Bytes',
  artifact_digest String COMMENT 'SHA-256 over the project''s files',
  version UInt32 COMMENT 'Of the artifact within its project; 0 where there is none',
  report_uri String COMMENT 'The report as HTML',
  report_json_uri String COMMENT 'The report as JSON',
  errors UInt32 COMMENT 'Findings that are errors, all of them',
  warnings UInt32 COMMENT 'Findings that are warnings, all of them',
  findings Array(Tuple(gate LowCardinality(String), rule LowCardinality(String), severity LowCardinality(String), message String, file String, line UInt32)) COMMENT 'The first 100',
  scores Map(LowCardinality(String), Float64) COMMENT 'Measured by validation',
  retry_after_s UInt32 COMMENT 'When to hand it over again; 0 where that is no use',
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(request_id, tenant, project, run, round, priority, occurred_at, usage_events, state, reason, message, stage, method, artifact_uri, artifact_size, artifact_digest, version, report_uri, report_json_uri, errors, warnings, findings, mapKeys(scores), mapValues(scores), retry_after_s) COMMENT 'Compared in id_contents',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
COMMENT 'Topics artifact.validated and artifact.rejected';

CREATE TABLE IF NOT EXISTS request_progressed (
  event_id UUID COMMENT 'Writer instance and sequence',
  request_id UUID COMMENT 'The request',
  tenant LowCardinality(String),
  project LowCardinality(String),
  run String COMMENT 'Empty for the original',
  stage LowCardinality(String) COMMENT 'Who gives the sign of life',
  fraction Float64 COMMENT '0 to 1',
  message String COMMENT 'For a person',
  occurred_at DateTime64(3, 'UTC'),
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
TTL toDateTime(event_time) + INTERVAL 90 DAY
COMMENT 'Topic request.progressed';
