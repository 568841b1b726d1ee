"""TorchServe's life: its settings and environment, start, supervision, readiness, draining, stop."""
