"""A server's health: readiness of workers, probes, log messages, status."""
