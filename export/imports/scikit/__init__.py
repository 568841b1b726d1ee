"""Pipelines of scikit-learn: TF-IDF or counts of words and a linear classifier, in memory or in a file of skops."""
