"""The proxy in front of TorchServe, which runs only while a canary does."""
