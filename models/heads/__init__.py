"""Heads: from a text's vector to what the model answers; `Head` says what they have in common."""

from .base import Head, HeadOptions
from .classifier import Classifier, ClassifierOptions, LabelOptions
from .joint import ImageTower, Joint, JointOptions
from .linear import Linear, LinearOptions
from .tree import Tree, TreeOptions
from .vector import Vector, VectorOptions

__all__ = [
    "HEADS",
    "Classifier",
    "ClassifierOptions",
    "Head",
    "HeadOptions",
    "ImageTower",
    "Joint",
    "JointOptions",
    "LabelOptions",
    "Linear",
    "LinearOptions",
    "Tree",
    "TreeOptions",
    "Vector",
    "VectorOptions",
]

HEADS: dict[str, type[HeadOptions]] = {
    kind.NAME: kind for kind in (ClassifierOptions, LinearOptions, TreeOptions, VectorOptions, JointOptions)
}
"""What a recipe may name as head; the first is the default."""
