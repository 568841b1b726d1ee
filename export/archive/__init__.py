"""Archives: packed, read, verified, signed, compared, opened in this process."""
