"""`--model auto`: several recipes are trained, and the best on the validation texts is kept."""

from .search import BUDGET, candidates, train_best

__all__ = ["BUDGET", "candidates", "train_best"]
