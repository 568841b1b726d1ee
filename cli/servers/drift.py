"""The command that compares what a server is asked with what its model was measured on: drift."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, StateDir, app, emit, print_line, show

_LIMIT = "PSI"


@app.command()
def drift(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A served model.", show_default="the only one")
    ] = None,
    version: Annotated[str | None, typer.Option(help="One version of it.", show_default="default")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="SECONDS",
            help="Count the requests of this time.",
            min=0.1,
            show_default="since the start",
        ),
    ] = None,
    max_unknown: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Most unknown tokens.", show_default="twice the held-out texts', 0.02 or more"
        ),
    ] = None,
    max_length_shift: Annotated[float, typer.Option(metavar=_LIMIT, help="Of text lengths.")] = 0.25,
    max_label_shift: Annotated[float, typer.Option(metavar=_LIMIT, help="Of predicted labels.")] = 0.25,
    max_confidence_shift: Annotated[float, typer.Option(metavar=_LIMIT, help="Of highest scores.")] = 0.25,
    least: Annotated[int, typer.Option(metavar="TEXTS", help="Judge nothing with fewer.", min=1)] = 100,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="WORDS",
            help="Collect so many unknown words from now on; 0 stops it.",
            min=0,
            show_default="off",
        ),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="List the words that were collected.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Delete the words that were collected.")] = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Compare what a served model is asked with the texts it was measured on; exit 1 if that has drifted."""
    from ...errors import InputError
    from ...evaluation.drift import Limits
    from ...serving.monitoring.drift import drift as compare

    chosen = [
        option
        for option, given in (("--sample", sample is not None), ("--words", words), ("--forget", forget))
        if given
    ]
    if len(chosen) > 1:
        raise InputError(
            f"{' and '.join(chosen)} were given together. Give one of them at a time.", code="LX-CLI-080"
        )
    if chosen:
        return _of_words(name, version, sample, forget=forget, state_dir=state_dir, as_json=as_json)
    limits = Limits(max_unknown, max_length_shift, max_label_shift, max_confidence_shift, least)
    found = compare(name, version, state_dir=state_dir, limits=limits, seconds=seconds)
    if as_json:
        emit(found.to_json())
    else:
        from ...reports import drift_tables as screens

        show(screens.drift(found.to_json()))
    found.require()
    return None


def _of_words(
    name: str | None,
    version: str | None,
    sample: int | None,
    *,
    forget: bool,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Collect words, delete them or list them."""
    from ...reports import drift_tables as screens
    from ...serving.monitoring import words as collected

    if sample is not None:
        served = collected.sample(sample, name, version, state_dir=state_dir)
        what = f"at most {sample:,} unknown words are collected" if sample else "no further words are collected"
        return emit({"model": served, "sample": sample}) if as_json else print_line(f"{served}: {what}")
    if forget:
        served = collected.forget(name, version, state_dir=state_dir)
        return emit({"model": served}) if as_json else print_line(f"{served}: the collected words are deleted")
    found, most = collected.words(name, version, state_dir=state_dir)
    listed = [asdict(one) for one in found]
    if as_json:
        return emit({"sample": most, "words": listed})
    if listed:
        show(screens.words(listed))
    state = f"at most {most:,} are collected" if most else "none are collected now; --sample 500 begins"
    return print_line(f"{len(listed):,} words that five requests or more had; {state}")
