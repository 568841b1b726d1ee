"""A server's settings: files, addresses, ports, and the environment of its processes."""
