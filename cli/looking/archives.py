"""Commands that check, show, compare and try an archive: verify, inspect, diff, run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import (
    AnyArchive,
    Archive,
    Explain,
    ImageFile,
    Json,
    Keys,
    Lang,
    Texts,
    app,
    emit,
    given_images,
    given_texts,
    print_line,
    show,
    trusted_keys,
)


@app.command()
def verify(mar: AnyArchive, key: Keys = None, as_json: Json = False) -> None:
    """Check an archive's digests and signature; exit 1 if verification fails or lexport did not make it."""
    from dataclasses import asdict

    from ...errors import RefusedError
    from ...export.archive.foreign import describe_foreign
    from ...export.archive.verify import verify as check
    from .. import archive_tables as archive_screens

    trusted = trusted_keys(key)
    other = describe_foreign(mar, trusted)
    if other is not None:
        emit(asdict(other)) if as_json else show(archive_screens.foreign_archive(other))
        raise RefusedError(
            f"{mar} was not made by lexport: it has no digests and no evidence, so nothing in it was verified. The "
            "members that can run code are listed above.",
            code="LX-CLI-009",
        )
    found = check(mar, trusted)
    if as_json:
        return emit(asdict(found))
    by = "unsigned"
    if found.fingerprint is not None:
        by = f"signed by {found.signer or 'an untrusted key,'} {found.fingerprint}"
    print_line(
        f"{mar}: {found.name} {found.version}, {found.variant}; {found.members} members as they were packed; {by}"
    )
    print_line(f"sha256 {found.digest}")
    return None


@app.command()
def inspect(mar: AnyArchive, key: Keys = None, as_json: Json = False) -> None:
    """Show an archive's evidence, members and model card, or, for any other .mar, what in it could run code."""
    from dataclasses import asdict

    from ...export.archive.foreign import describe_foreign
    from ...export.archive.inspect import inspect as look
    from .. import archive_tables as archive_screens

    trusted = trusted_keys(key)
    other = describe_foreign(mar, trusted)
    if other is not None:
        return emit(asdict(other)) if as_json else show(archive_screens.foreign_archive(other))
    found = look(mar, trusted)
    return emit(asdict(found)) if as_json else show(archive_screens.inspection(found))


@app.command()
def diff(
    before: Annotated[
        Path,
        typer.Argument(metavar="A.mar|RECORDING|REPORT", help="An archive, a recording, or a load test's folder."),
    ],
    after: Annotated[
        Path, typer.Argument(metavar="B.mar|REPORT", help="The archive, or load test, to compare it with.")
    ],
    max_flips: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Exit 1 above this share of other answers.", min=0, max=1),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="The texts of a recording without texts.", show_default="its own")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write two load tests side by side to this .html too.", show_default="none")
    ] = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Show the changes from an archive, or a recording, to an archive, or from one load test to another."""
    from dataclasses import asdict

    from ...errors import InputError, RefusedError
    from ...export.archive.diff import compare
    from ...export.archive.recorded import compare_recording
    from ...export.archive.recordings import is_recording
    from ...loadtest.side_by_side import is_loadtest
    from .. import archive_tables as archive_screens

    if is_loadtest(before) or is_loadtest(after):
        if max_flips is not None or texts is not None:
            raise InputError(
                "--max-flips and --texts were given with load tests, which have no answers to compare. Leave them "
                "out, or compare archives.",
                code="LX-LOAD-114",
            )
        return _diff_loadtests(before, after, page, as_json=as_json)
    if page is not None:
        raise InputError(
            f"--page {page} was given, and {before} is not the folder or results.json of a load test. Leave it out.",
            code="LX-LOAD-115",
        )
    trusted = trusted_keys(key)
    flips, asked = 0, 0
    if is_recording(before):
        against = compare_recording(before, after, texts=texts, trusted=trusted)
        flips, asked = len(against.flips), against.asked
        emit(asdict(against)) if as_json else show(archive_screens.against_recording(against))
    else:
        if texts is not None:
            raise InputError(f"--texts was given, and {before} is not a recording. Leave it out.", code="LX-CLI-010")
        found = compare(before, after, trusted=trusted)
        flips, asked = len(found.flips), found.asked
        emit(asdict(found)) if as_json else show(archive_screens.comparison(found))
    if max_flips is not None and not asked:
        raise RefusedError("No answers were compared, so --max-flips cannot be checked.", code="LX-CLI-011")
    if max_flips is not None and flips > max_flips * asked:
        raise RefusedError(
            f"{flips:,} of {asked:,} texts have another answer ({flips / asked:.1%}); --max-flips allows "
            f"{max_flips:.1%}.",
            code="LX-CLI-012",
        )
    return None


def _diff_loadtests(before: Path, after: Path, page: Path | None, *, as_json: bool) -> None:
    """Show two load tests side by side, and write their page where one is asked for."""
    from ...loadtest import side_by_side
    from ...reports.pages import check

    if page is not None:
        check(page, option="--page")
    found = side_by_side.compare(before, after)
    if page is not None:
        side_by_side.write(found, page)
    if as_json:
        return emit(found.as_dict())
    show(side_by_side.table(found))
    for line in side_by_side.notes(found):
        print_line(line)
    return None


@app.command()
def run(
    mar: Archive,
    texts: Texts = None,
    lang: Lang = None,
    images: ImageFile = None,
    explain: Explain = False,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Answer texts with an archive's model in this process, without Java and without its code."""
    from ...export.archive.inprocess import load_archive
    from ...reports import tables as screens

    trusted = trusted_keys(key)
    if images is not None:
        pictures = given_images(images, texts, lang, explain=explain)
        given = [f"{images.name}:{number}" for number in range(1, len(pictures) + 1)]
        with load_archive(mar, trusted=trusted) as archived:
            found = archived.predict_images(pictures)
    else:
        given = given_texts(texts)
        with load_archive(mar, trusted=trusted) as archived:
            if explain:
                found = archived.explain(given, lang)
            else:
                found = archived.predict(given, None if lang is None else [lang] * len(given))
    if as_json:
        return emit(found)
    return show(screens.explanations(given, found) if explain else screens.answers(given, found))
