"""Configurations of haproxy and nginx that protect a server."""
