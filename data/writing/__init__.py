"""Write rows to files, in the formats that `reading` reads."""
