"""What runs inside Locust: the locustfile and the modules beside it, which need Locust alone."""
