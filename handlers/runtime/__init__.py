"""A worker inside TorchServe: metrics, threads, draining, and its report to `lexport serve`."""
