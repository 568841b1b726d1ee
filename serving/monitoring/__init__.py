"""What is seen of a running server: figures of its metrics address, lines of its logs, one look after another."""
