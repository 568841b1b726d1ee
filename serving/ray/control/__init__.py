"""The process here that holds the connection to a Ray cluster, and answers for the server."""
