"""The supervisor of a server and the processes that answer."""
