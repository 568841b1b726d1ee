"""Take the picture of a page for docs/, as a desktop shows its beginning; Chromium must be there.

python docs/generate/screenshots.py loadtest-report/report.html docs/loadtest-report.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lexport.tests.browser.devtools import PROGRAMS, Browser, find

WIDTH, HEIGHT = 1100, 1060  # px


def picture(page: Path) -> bytes:
    """Return a PNG of the first pixels of a page."""
    program = find()
    if program is None:
        raise SystemExit(f"There is no Chromium; looked for {', '.join(PROGRAMS)}.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, Path(profile))
        try:
            return browser.page().size(WIDTH, HEIGHT).open(page).picture(HEIGHT)
        finally:
            browser.close()


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(picture(Path(sys.argv[1])))
