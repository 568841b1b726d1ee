"""The recipe `linear`: the exact minimum of a convex loss over counts of words, n-grams and subwords.

`features` holds the counts as sparse matrices, `newton` minimises, `fit` chooses the strength and writes the table.
"""

from .fit import fit_linear

__all__ = ["fit_linear"]
