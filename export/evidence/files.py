"""Names of files that an exported variant has beside its model."""

GOLDENS = "golden.jsonl"
SYNTHETIC = "golden.made.jsonl"
"""Golden requests of made-up texts, which take the others' place in an archive that holds no text of the data."""
