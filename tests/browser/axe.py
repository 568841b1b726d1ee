"""axe-core, Deque's checker of web pages against the Web Content Accessibility Guidelines, run in headless Chromium.

pip brings it with the extra `dev`, inside axe-playwright-python; nothing is loaded from the network.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .devtools import Page

PACKAGE = "axe_playwright_python"
# WCAG 2.0, 2.1 and 2.2, levels A and AA.
_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_RUN = """axe.run(document, {runOnly: {type: "tag", values: %s}}).then(({violations, passes}) => ({
  violations: violations.flatMap(rule => rule.nodes.map(node =>
    `${rule.id} at ${node.target.join(" ")}: ${node.failureSummary.replace(/\\s+/g, " ")}`)),
  passes: passes.map(rule => rule.id)}))"""


@cache
def source() -> str | None:
    """The script of axe-core; None where its package is not installed."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def check(page: Page) -> tuple[list[str], set[str]]:
    """What of a page violates the guidelines, each with its rule, place and reason; and the rules that it follows."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(f"{source()}; 0")
    found = page.evaluate(_RUN % json.dumps(_TAGS))
    return found["violations"], set(found["passes"])
