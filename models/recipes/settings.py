"""Set single options of a recipe, as `--set head.class_weights=balanced` does."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from ...errors import InputError
from ...storage.validation import problems_of
from . import Recipe, checked, refused

# What a run that is trained further may change: the rest belongs to the shape of its model.
_FURTHER = ("training", "gates")
_FURTHER_HEAD = ("class_weights", "label_smoothing", "teacher_weight", "temperature", "threshold")


def with_settings(recipe: Recipe, settings: Sequence[str], *, further: bool = False) -> Recipe:
    """Return a copy of `recipe` with all of `settings`, each SECTION.OPTION=VALUE, VALUE as in TOML or a bare word.

    `further`: the recipe is that of a run, whose model stays as it is. Raises InputError for an unknown option or
    value, or one that would change the model of such a run.
    """
    given: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        section, point, option = name.strip().partition(".")
        sections = [one.name for one in fields(recipe) if one.name not in ("name", "when")]
        if not equals or not point or section not in sections:
            raise InputError(
                f"--set {setting} is not an option of a recipe; expected SECTION.OPTION=VALUE, such as "
                f"head.class_weights=balanced, of the sections {', '.join(sections)}.",
                code="LX-RECIPE-014",
            )
        if further and section not in _FURTHER and not (section == "head" and option in _FURTHER_HEAD):
            raise InputError(
                f"--set {setting} would change the model of --from; only these can be set: options of "
                f"{' and '.join(_FURTHER)}, and of head {', '.join(_FURTHER_HEAD)}.",
                code="LX-RECIPE-015",
            )
        given.setdefault(section, {})[option] = _value(value.strip())
    changes, problems = dict[str, Any](), list[str]()
    for section, values in given.items():
        part = getattr(recipe, section)
        try:
            changes[section] = checked(section, type(part), {**asdict(part), **values})
        except ValueError as error:
            problems += problems_of(error)
    if not problems:
        try:
            return replace(recipe, **changes)
        except ValueError as error:
            problems += problems_of(error)
    raise refused(recipe.name, problems)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
