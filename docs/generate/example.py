"""The folder that the pictures of docs/ are of: two models of news, their archives, load tests and pages.

What is there already is kept: to measure the load tests anew on an idle machine, remove `loads` from the folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "example"
TEXT = "the striker scored twice in a thrilling cup final, says the floobage"
_LOAD = [
    *("--engines", "torchserve,embedded", "--workers", "cpu:1,cpu:2", "--users", "1,16,64"),
    *("--duration", "10", "--slo", "p99=100ms"),
]

# Of each command the file that it leaves, which tells that it ran.
COMMANDS: dict[str, list[str]] = {
    "runs/news/run.json": ["train", "bbc-news", "--model", "bag", "--out", "runs/news"],
    "runs/news/export/evidence.json": ["export", "runs/news", "--variants", "onnx-fp32,onnx-int8"],
    "model_store/news-1.0.mar": ["archive", "runs/news", "--version", "1.0", "--variant", "onnx-int8"],
    "runs/hashed/run.json": ["train", "bbc-news", "--model", "hashed", "--out", "runs/hashed"],
    "runs/hashed/export/evidence.json": ["export", "runs/hashed", "--variants", "onnx-fp32,onnx-int8"],
    "model_store/hashed-1.0.mar": [
        *("archive", "runs/hashed", "--version", "1.0", "--variant", "onnx-int8"),
    ],
    "loads/news/report.html": ["loadtest", "model_store/news-1.0.mar", *_LOAD, "--out", "loads/news"],
    "loads/hashed/report.html": [
        *("loadtest", "model_store/hashed-1.0.mar", *_LOAD, "--out", "loads/hashed"),
    ],
    "report.html": [
        *("report", "runs/news", "--text", TEXT, "--loadtest", "loads/news", "--out", "report.html"),
    ],
    "map.html": ["vectors", "map", "runs/news", "--top", "1000", "--colour", "label", "--out", "map.html"],
    "evaluation.html": [
        *("evaluate", "runs/news", "--unknown-rate", "0.1,0.3", "--report", "evaluation.html"),
    ],
    "diagnosis.html": ["diagnose", "runs/news", "bbc-news", "--out", "diagnosis.html"],
}


def make(folder: Path = FOLDER) -> Path:
    """Run the commands whose result `folder` lacks; return it. Ends the program where one of them fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for result, command in COMMANDS.items():
        if (folder / result).is_file():
            continue
        print("lexport", *command, flush=True)
        # A missed objective of a load test, exit code 1, leaves a report all the same.
        done = subprocess.run([sys.executable, "-m", "lexport", *command], cwd=folder, check=False)
        if not (folder / result).is_file():
            raise SystemExit(f"lexport {' '.join(command)} ended with exit code {done.returncode}.")
    return folder
