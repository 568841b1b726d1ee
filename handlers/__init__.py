"""The code inside a TorchServe worker. It uses only the standard library, numpy, regex, mmh3 and one engine."""
