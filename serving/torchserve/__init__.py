"""TorchServe's settings and environment, start, supervision, readiness, draining and stop."""
