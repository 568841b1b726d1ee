"""The version of lexport."""

__version__ = "0.1.0"
