"""The embedded stack: a real Kafka, the ClickHouse engine and a schema registry, each a process of its own on loopback."""
