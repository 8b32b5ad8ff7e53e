"""Generate by a language model: behind a port, quoted, cached, and believed only as far as the gates go."""
