"""lexport: labelled text in, a served and load-tested model archive that carries its evidence out."""

__version__ = "0.1.0"
