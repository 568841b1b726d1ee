"""Model selection: `--cv K` judges a recipe by cross-validation, `--model auto` keeps the best of several."""

from .cross_validation import train_validated
from .search import BUDGET, candidates, train_best

__all__ = ["BUDGET", "candidates", "train_best", "train_validated"]
