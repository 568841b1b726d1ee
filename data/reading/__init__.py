"""Read labelled texts from files: what a file is, and how it is written, is found from its name and content."""
