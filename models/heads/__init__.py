"""Heads: from a text's vector to what the model answers; `Head` says what they have in common."""

from .base import Head
from .classifier import Classifier, ClassifierOptions
from .joint import ImageTower, Joint, JointOptions
from .vector import Vector, VectorOptions

__all__ = [
    "Classifier",
    "ClassifierOptions",
    "Head",
    "ImageTower",
    "Joint",
    "JointOptions",
    "Vector",
    "VectorOptions",
]
