"""Text to indices: the one implementation that training, export, evaluation and the worker share."""
