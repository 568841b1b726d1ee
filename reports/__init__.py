"""Output for people: terminal tables, HTML pages, charts."""
