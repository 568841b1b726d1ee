"""What is seen of a running server: its figures, drift, collected words, lines of its logs, one look after another."""
