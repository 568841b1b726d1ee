"""Write files atomically, read compressed files, report progress."""
