"""What is seen of a running server: its figures, drift, collected words, its logs, one look after another."""
