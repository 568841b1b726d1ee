"""The page of all claims, set from the figures that are kept: its text, and a picture for each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lexport.benchmarks.figures import table

from .claim import Claim, Figures, Shown

COMMAND = "python benchmarks/claims.py --write docs/claims.md"
_INTRO = """# What tutorials say about nn.Embedding, measured

Each section states a piece of advice as it is commonly given, in our words, and what was measured of it here.
Verdicts are put together from the figures by the script that measured them; a run elsewhere may come to others.

"""


@dataclass(frozen=True)
class Kept:
    """A claim's figures. day: when they were measured; minutes: for how long; place: machine and versions."""

    figures: Figures
    day: str
    minutes: int
    place: str


def page(kept: Mapping[str, Kept], claims: Sequence[Claim], folder: str) -> tuple[str, dict[str, str]]:
    """Markdown of these claims, and their pictures by file name; `folder` is where the text will find those."""
    shown = {claim.name: claim.show(kept[claim.name].figures) for claim in claims}
    sections = [section(claim, shown[claim.name], f"{folder}/{claim.name}.svg") for claim in claims]
    rows = [[f"[{claim.title}](#{_anchor(claim)})", claim.said, shown[claim.name].short] for claim in claims]
    summary = table(["advice", "as it is said", "measured"], rows).replace("--:", "--")
    text = "\n".join([_INTRO + summary, *sections, _measured(kept, claims)])
    return text, {f"{claim.name}.svg": shown[claim.name].picture for claim in claims}


def section(claim: Claim, shown: Shown, picture: str) -> str:
    """A claim as Markdown."""
    return (
        f"## {claim.title}\n\n> {claim.said}\n\n**Verdict.** {shown.verdict}\n\n![{shown.alt}]({picture})\n\n"
        f"{shown.how}\n\n{shown.tables}"
    )


def _anchor(claim: Claim) -> str:
    return claim.title.lower().replace(" ", "-")


def _measured(kept: Mapping[str, Kept], claims: Sequence[Claim]) -> str:
    """When and where, the claims of one day and place together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for claim in claims:
        own = kept[claim.name]
        groups.setdefault((own.day, own.place), []).append(f"{claim.name} {own.minutes} min")
    lines = [f"{day}: {', '.join(names)}; {place}" for (day, place), names in groups.items()]
    return (
        f"## How this was measured\n\n    {COMMAND}\n\nOne claim alone with `--only NAME`; the others keep their "
        "figures (`docs/claims/NAME.json`). Times are ratios within a round, in turns, on a machine whose two cores "
        "other programs used as well; trust the ratios more "
        "than the milliseconds. Everything ran on the CPU with one thread.\n\n" + "\n\n".join(lines) + "\n"
    )
