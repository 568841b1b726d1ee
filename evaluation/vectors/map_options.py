"""What a map of words can be asked for. Nothing here needs numpy: the command line loads it for every command."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """How vectors become two numbers."""

    TSNE = "tsne"
    """Van der Maaten, Hinton: Visualizing Data using t-SNE, 2008; by scikit-learn."""
    UMAP = "umap"
    """McInnes, Healy, Melville: UMAP, 2018, arXiv:1802.03426; by umap-learn."""
    PCA = "pca"
    """The two directions in which the vectors differ most."""


class Colour(StrEnum):
    """What the colour of a word says."""

    FREQUENCY = "frequency"
    """Where it is in the table: files of vectors and vocabularies have frequent words first."""
    LABEL = "label"
    """The label that a model gives the word alone."""
    CLUSTER = "cluster"
    """Words near to each other in all dimensions: k-means."""
