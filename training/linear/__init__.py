"""The recipe `linear`: the exact minimum of a convex loss over counts of words, n-grams and subwords.

`features` holds the counts as sparse matrices, `newton` minimises, `fit` chooses the strength and writes the table;
`bayes` counts a model of the same form, which judges labels beside it.
"""

from .bayes import fit_bayes
from .fit import fit_linear

__all__ = ["fit_bayes", "fit_linear"]
