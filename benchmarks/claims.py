"""What tutorials claim about nn.Embedding, measured, with a verdict and a plot each.

    python benchmarks/claims.py [--only sparse,int8] [--write docs/claims.md] [--quick]

Prints Markdown. With --write the page and its pictures are written, from these figures and those kept beside it
(`docs/claims/NAME.json`) of claims that are not measured now.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch

from lexport.benchmarks.advice import CLAIMS
from lexport.benchmarks.advice.page import Kept, page, section
from lexport.benchmarks.figures import say, where
from lexport.storage import atomic as files


def main() -> int:
    """Measure, print, and write the page where it is asked for."""
    options = _options()
    # Fits of this size gain nothing from a second thread, and lose much where other programs want the cores.
    torch.set_num_threads(1)
    folder = options.write and options.write.with_suffix("")
    for claim in CLAIMS:
        if claim.name not in options.only:
            continue
        say(f"{claim.name}: {claim.said}")
        began = time.time()
        figures = claim.measure(options.quick)
        day, minutes = time.strftime("%Y-%m-%d", time.gmtime(began)), round((time.time() - began) / 60)
        kept = Kept(figures, day, minutes, where())
        if folder:
            files.write_file(folder / f"{claim.name}.json", files.json_bytes(asdict(kept)))
        print(section(claim, claim.show(figures), f"{claim.name}.svg"), flush=True)
    if folder:
        write(options.write, folder)
    return 0


def write(target: Path, folder: Path) -> None:
    """Set the page and its pictures from the figures in `folder`, or write nothing if those of a claim lack."""
    absent = [claim.name for claim in CLAIMS if not (folder / f"{claim.name}.json").is_file()]
    if absent:
        raise SystemExit(
            f"{target} is not written: {folder} lacks figures of {', '.join(absent)}. Measure them first."
        )
    text, pictures = page(read(folder), CLAIMS, folder.name)
    for name, drawing in pictures.items():
        files.write_file(folder / name, drawing.encode())
    files.write_file(target, text.encode())
    say(f"written: {target}")


def read(folder: Path) -> dict[str, Kept]:
    """The figures kept in `folder`, by claim."""
    return {
        claim.name: Kept(**json.loads((folder / f"{claim.name}.json").read_text(encoding="utf-8")))
        for claim in CLAIMS
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [claim.name for claim in CLAIMS]
    add = parser.add_argument
    add("--only", type=_listed, default=names, help=f"of {', '.join(names)}; none sets the page again")
    add("--write", type=Path, help="the page, such as docs/claims.md; pictures and figures go to docs/claims/")
    add("--quick", action="store_true", help="few sizes, seeds and epochs: does it run at all?")
    options = parser.parse_args()
    unknown = sorted(set(options.only) - {*names, "none"})
    if unknown:
        parser.error(f"there is no claim {', '.join(unknown)}; there are {', '.join(names)}")
    if options.quick and options.write:
        parser.error("--quick measures nothing worth writing; leave out one of the two")
    return options


def _listed(names: str) -> list[str]:
    return names.split(",")


if __name__ == "__main__":
    raise SystemExit(main())
