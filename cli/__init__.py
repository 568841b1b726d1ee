"""The commands of the command line, by what they are about; `cli/app.py` puts them together."""
