"""What pyproject.toml cannot say: on an index page the README's links are absolute, in a checkout relative."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def description(readme: str, source: str) -> str:
    """A README whose links to files of the repository at `source` are absolute."""

    def absolute(link: re.Match[str]) -> str:
        image, text, target = link.groups()
        # A page shows a file, `raw` is the file itself.
        return f"{image}[{text}]({source}/{'raw' if image else 'blob'}/main/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)", absolute, readme)


def _described() -> str:
    source = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    return description((HERE / "README.md").read_text(encoding="utf-8"), source)


setup(
    script_name="setup.py",  # which setuptools leaves out of the package
    long_description=_described(),
    long_description_content_type="text/markdown",
)
