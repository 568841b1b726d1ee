"""Adding words to the vocabulary of a trained run."""
