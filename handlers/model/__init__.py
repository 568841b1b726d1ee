"""A loaded archive: digests, golden requests, predictions and explanations."""
