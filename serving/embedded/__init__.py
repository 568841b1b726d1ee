"""The embedded engine: archives served by one Python process, without Java."""
