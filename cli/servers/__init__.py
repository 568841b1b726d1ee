"""Commands around servers and what they serve."""
