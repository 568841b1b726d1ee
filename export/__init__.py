"""Formats, quantization, parity, evidence and the archive."""
