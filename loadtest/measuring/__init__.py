"""What a run measures beside Locust: the server's own metrics, GPUs, other work; repeats; latency histograms."""
