"""Text classifiers of spaCy, `textcat` over a bag of n-grams: read from a saved pipeline's folder, without spaCy."""
