"""What runs inside a TorchServe worker: standard library, numpy, regex, mmh3 and one engine, nothing else."""
