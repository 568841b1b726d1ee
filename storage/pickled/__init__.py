"""Pickles and files of `torch.save`, read by a small reader of our own that builds plain values and calls nothing."""
