"""Names of files that an exported variant has beside its model."""

GOLDENS = "golden.jsonl"
SYNTHETIC = "golden.made.jsonl"
"""Synthetic golden requests; they replace the others in an archive without texts of the data."""
