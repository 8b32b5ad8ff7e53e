-- How the pipeline itself is doing, and what people did to it.

CREATE TABLE IF NOT EXISTS metrics_recorded (
  event_id UUID COMMENT 'Writer instance and sequence',
  stage LowCardinality(String),
  worker LowCardinality(String),
  window_start DateTime64(3, 'UTC'),
  window_ms UInt32 DEFAULT 1000,
  records_in UInt64 COMMENT 'Delivered to the stage',
  records_done UInt64 COMMENT 'Done, whatever came of them',
  records_out UInt64 COMMENT 'Published',
  retries UInt64 COMMENT 'Sent to a delay tier',
  dead_letters UInt64 COMMENT 'Given up',
  redelivered UInt64 COMMENT 'Republished from what was recorded',
  in_flight UInt32 COMMENT 'Taken and not yet done, at the end of the window',
  lag_records UInt64 COMMENT 'Behind the end of the topics',
  lag_seconds Float64 COMMENT 'Age of the oldest record not done',
  handler_ms_p50 Float64,
  handler_ms_p95 Float64,
  handler_ms_max Float64,
  queue_ms_p50 Float64 COMMENT 'Broker time to start',
  queue_ms_max Float64,
  cpu_seconds Float64 COMMENT 'Of the worker, in the window',
  errors Map(LowCardinality(String), UInt64) COMMENT 'By error class',
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
TTL toDateTime(event_time) + INTERVAL 90 DAY
COMMENT 'Topic metrics.recorded';

CREATE TABLE IF NOT EXISTS anomaly_raised (
  event_id UUID COMMENT 'Window and subject: computed anew for the same window it replaces the earlier one',
  subject_kind LowCardinality(String) COMMENT 'stage or tenant',
  subject LowCardinality(String),
  metric LowCardinality(String),
  window_start DateTime64(3, 'UTC'),
  window_ms UInt64,
  observed Float64,
  expected Float64,
  sigma Float64 COMMENT 'How far from it, in standard deviations',
  revision UInt32 COMMENT 'The highest stays',
  occurred_at DateTime64(3, 'UTC'),
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
COMMENT 'Topic anomaly.raised';

CREATE TABLE IF NOT EXISTS audit_recorded (
  event_id UUID COMMENT 'Writer instance and sequence',
  actor String,
  action LowCardinality(String),
  target String,
  tenant LowCardinality(String),
  run String,
  details Map(LowCardinality(String), String),
  occurred_at DateTime64(3, 'UTC'),
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(actor, action, target, tenant, run, mapKeys(details), mapValues(details), occurred_at) COMMENT 'Compared in id_contents',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
COMMENT 'Topic audit.recorded';

CREATE TABLE IF NOT EXISTS dead_lettered (
  event_id UUID COMMENT 'From stage and original topic, partition, offset and run',
  stage LowCardinality(String) COMMENT 'Who gave the record up',
  reason LowCardinality(String) COMMENT 'Error class',
  message String,
  exception String COMMENT 'Traceback',
  tries UInt32,
  topic LowCardinality(String) COMMENT 'Where the record was',
  partition UInt32,
  offset UInt64,
  timestamp DateTime64(3, 'UTC') COMMENT 'The original record''s',
  key Nullable(String),
  value Nullable(String) COMMENT 'The original record whole, bytes',
  headers Array(Tuple(name String, value String)),
  code_version LowCardinality(String),
  tenant String,
  request_id String COMMENT 'Empty where the record did not tell',
  run String,
  occurred_at DateTime64(3, 'UTC'),
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  earliest UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(broker_time))) COMMENT 'The first one stays',
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7'
) ENGINE = ReplacingMergeTree(earliest)
PARTITION BY toYYYYMM(event_time)
ORDER BY (toDate(event_time), event_id)
COMMENT 'Topic dead.letters';
