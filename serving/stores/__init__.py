"""A model store: a folder of archives, with what is added to it, removed from it and found in it, and its history."""

from .find import find_archive
from .history import record

__all__ = ["find_archive", "record"]
