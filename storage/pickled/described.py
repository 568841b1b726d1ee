"""What a pickle names or would make, as it says so: nothing of it is imported, made or called."""

from __future__ import annotations

from typing import Any


class Name:
    """Something that a pickle names, "module.name". It is never imported."""

    def __init__(self, text: str) -> None:
        """`text`: the module and the name in it."""
        self.text = text


class Instance:
    """An object of a class that a pickle names, as the pickle describes it. It is never made.

    Of a function that a pickle calls, it is the call.
    """

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        """`name`: "module.name" of the class or function. `arguments`: what it is given."""
        self.name, self.arguments = name, arguments
        self.state: Any = None
        """What the pickle then sets the object's state to, mostly a dictionary of its attributes; None without."""
