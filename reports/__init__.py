"""What people read: tables of the terminal, HTML pages, charts."""
