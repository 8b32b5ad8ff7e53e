-- The same id and revision must mean the same content. A table that replaces forgets what it replaced, so the least and the greatest
-- hash of an id's contents are kept beside it: two numbers that say whether there ever were two, however often each came.

CREATE TABLE IF NOT EXISTS id_contents (
  source LowCardinality(String) COMMENT 'Table',
  event_id UUID,
  revision UInt32,
  least SimpleAggregateFunction(min, UInt64) COMMENT 'Of the hashes of its contents',
  greatest SimpleAggregateFunction(max, UInt64) COMMENT 'Another than least: an alarm',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id'
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (source, toDate(event_time), event_id, revision)
COMMENT 'Filled by the materialized views contents_of_*';

CREATE MATERIALIZED VIEW IF NOT EXISTS contents_of_features_extracted TO id_contents AS
SELECT 'features_extracted' AS source, event_id, toUInt32(0) AS revision, content AS least, content AS greatest FROM features_extracted;

CREATE MATERIALIZED VIEW IF NOT EXISTS contents_of_artifact_generated TO id_contents AS
SELECT 'artifact_generated' AS source, event_id, toUInt32(0) AS revision, content AS least, content AS greatest FROM artifact_generated;

CREATE MATERIALIZED VIEW IF NOT EXISTS contents_of_verdict_given TO id_contents AS
SELECT 'verdict_given' AS source, event_id, toUInt32(0) AS revision, content AS least, content AS greatest FROM verdict_given;

CREATE MATERIALIZED VIEW IF NOT EXISTS contents_of_usage_recorded TO id_contents AS
SELECT 'usage_recorded' AS source, event_id, revision, content AS least, content AS greatest FROM usage_recorded;

CREATE MATERIALIZED VIEW IF NOT EXISTS contents_of_audit_recorded TO id_contents AS
SELECT 'audit_recorded' AS source, event_id, toUInt32(0) AS revision, content AS least, content AS greatest FROM audit_recorded;
