"""Models that fastText trained: `.bin` and `.ftz` files of its command `supervised`."""
