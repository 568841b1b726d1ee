"""The pages of load tests: the report of one, and two side by side."""
