"""Measure every exported variant, and judge it by the gates. Nothing is written here."""
