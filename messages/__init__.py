"""Messages: text and values from outside, shown safely on one line."""
