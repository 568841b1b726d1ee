"""Configurations of haproxy and nginx that protect TorchServe."""
