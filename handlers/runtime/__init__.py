"""A worker inside TorchServe: metrics, threads, draining, and its report to the server's owner."""
