"""Search the settings that serve most requests/s within objectives, by measured runs."""
