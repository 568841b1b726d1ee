"""Labelled texts: read, cleaned, split; sample sets."""
