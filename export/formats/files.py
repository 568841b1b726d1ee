"""Names of the files that an exported variant has beside its model."""

MODEL = "model.json"
REQUIREMENTS = "requirements.txt"
"""The packages of a worker, each with the version that exported."""
GOLDENS = "golden.jsonl"
SYNTHETIC = "golden.made.jsonl"
"""Synthetic golden requests; they replace the others in an archive without texts of the data."""
