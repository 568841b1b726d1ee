"""Word vectors and vectors of texts: the nearest ones, how good they are, and maps."""
