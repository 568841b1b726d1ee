"""The commands that write models for others and take them in: export-to, hub, import."""
