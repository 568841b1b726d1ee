"""Commands that show what is there, in a browser or a terminal."""
