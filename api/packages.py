"""What is said where a function of `lexport` needs a package that is not installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import import_problem

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def names_missing_packages(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Make a function raise MissingExtra, with its pip line, where a package that it needs is not installed."""

    @functools.wraps(function)
    def named(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except ImportError as error:
            problem = import_problem(error, f"lexport.{function.__name__}")
            if problem is None:
                raise
            raise problem from error

    return named
