-- Metered events. A correction has the id of what it corrects and a higher revision; money is decimal, an unknown price is NULL, never 0.

CREATE TABLE IF NOT EXISTS usage_recorded (
  event_id UUID COMMENT 'Deterministic; the same in every revision',
  request_id UUID COMMENT 'The request',
  tenant LowCardinality(String),
  project LowCardinality(String),
  run String COMMENT 'Empty for the original; a call is billed once, in the run that made it',
  round UInt32 COMMENT 'Repair round',
  call UInt32 COMMENT 'Ordinal of the provider call within the round',
  stage LowCardinality(String),
  kind LowCardinality(String) COMMENT 'extract, compose, reconstruct, validate, llm.call, cache.hit, ...',
  revision UInt32 COMMENT '0 the original, n a correction',
  priority LowCardinality(String) DEFAULT 'normal',
  outcome LowCardinality(String) DEFAULT 'ok' COMMENT 'ok, error, cancelled, timeout, in_doubt, cache_hit or coalesced',
  provider LowCardinality(String),
  model LowCardinality(String),
  usage_source LowCardinality(String) DEFAULT 'counted' COMMENT 'provider, counted or estimated',
  quantity Float64 COMMENT 'In units',
  unit LowCardinality(String) COMMENT 'video_second, project, artifact, token, ...',
  in_uncached UInt64 COMMENT 'Tokens; the five categories are disjoint',
  in_cache_read UInt64 COMMENT 'Tokens',
  in_cache_write UInt64 COMMENT 'Tokens',
  out_text UInt64 COMMENT 'Tokens',
  out_reasoning UInt64 COMMENT 'Tokens',
  price_version LowCardinality(String) COMMENT 'Of the price book',
  cost_usd Nullable(Decimal(18, 10)) COMMENT 'NULL where the price is not known',
  saved_usd Decimal(18, 10) COMMENT 'What a cache spared',
  dims Map(LowCardinality(String), String),
  occurred_at DateTime64(3, 'UTC') COMMENT 'Reports and quotas group by it',
  broker_time DateTime64(3, 'UTC') COMMENT 'When it was published',
  event_time DateTime64(3, 'UTC') MATERIALIZED UUIDv7ToDateTime(event_id, 'UTC') COMMENT 'Time bits of the id',
  content UInt64 MATERIALIZED sipHash64(request_id, tenant, project, run, round, call, stage, kind, priority, outcome, provider, model, usage_source, quantity, unit, in_uncached, in_cache_read, in_cache_write, out_text, out_reasoning, price_version, isNull(cost_usd), ifNull(cost_usd, 0), saved_usd, mapKeys(dims), mapValues(dims), occurred_at) COMMENT 'Compared in id_contents',
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  CONSTRAINT v7 CHECK substring(toString(event_id), 15, 1) = '7',
  CONSTRAINT priced CHECK cost_usd IS NULL OR cost_usd >= 0
) ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(event_time)
ORDER BY (tenant, toDate(event_time), event_id)
COMMENT 'Topic usage.recorded';
