"""Word vectors: the nearest words, how they agree with people's judgements, and maps of them."""
