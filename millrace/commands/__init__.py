"""The commands, by who uses them: requests (producers), operate (operators), craft (pure, no Kafka), stack (the embedded one)."""
