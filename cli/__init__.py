"""The commands of the command line, grouped by topic; `cli/app.py` collects them."""
