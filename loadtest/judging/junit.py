"""A load test's checks as JUnit's XML, which CI systems show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

from ...messages.escaping import visible
from ..results import LoadReport
from .checks import FAILED, SKIPPED, checks


def junit(report: LoadReport) -> bytes:
    """Return one `testcase` for each check of each cell.

    Its name has the load and the objective, its class the archive and the workers.
    """
    found = list(checks(report))
    counts = Counter(check.outcome for check in found)
    seconds = sum(row.seconds for row in report.rows)
    totals = {
        "name": "lexport loadtest",
        "tests": str(len(found)),
        "failures": str(counts[FAILED]),
        "errors": "0",
        "skipped": str(counts[SKIPPED]),
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", totals)
    suite = ET.SubElement(root, "testsuite", totals | {"timestamp": report.started[:19]})
    for check in found:
        name = f"{check.load}: {check.what}" if check.load else check.what
        place = {"classname": visible(f"{check.archive}.{check.workers}"), "name": visible(name)}
        case = ET.SubElement(suite, "testcase", place | {"time": f"{check.seconds:.3f}"})
        if check.outcome == FAILED:
            ET.SubElement(case, "failure", {"message": visible(check.why), "type": "objective"})
        elif check.outcome == SKIPPED:
            ET.SubElement(case, "skipped", {"message": visible(check.why)})
        if check.value:
            ET.SubElement(case, "system-out").text = visible(check.value)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
