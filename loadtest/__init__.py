"""Load tests with Locust: the locustfile, the lab that runs it and the report."""
