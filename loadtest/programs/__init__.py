"""Other programs than Locust that load a server: wrk and k6, where they are installed."""
