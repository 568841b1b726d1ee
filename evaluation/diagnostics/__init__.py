"""What is wrong with data, labels or a model, and what to do about it."""
