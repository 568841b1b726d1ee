"""How messages are written: outside text and values shown safely, on one line."""
