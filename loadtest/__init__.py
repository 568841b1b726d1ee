"""Load tests with Locust: the locustfile, the runner around it and the report."""
