"""Times that can be compared on a busy machine: short blocks in turns, and ratios within a round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from lexport.benchmarks.figures import Values

Block = Callable[[int], float]
"""Does a thing so many times; the seconds it took."""

_BLOCK = 0.1  # seconds


def block(call: Callable[[], object]) -> Block:
    """The block that repeats `call`."""

    def run(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - began

    return run


def alternated(blocks: Sequence[Block], rounds: int) -> Values:
    """Seconds of one time, [rounds, blocks]; every other round goes through the blocks backwards."""
    counts = []
    for run in blocks:
        run(2)
        counts.append(int(np.clip(_BLOCK / max(run(1), 1e-9), 1, 5000)))
    found = np.zeros((rounds, len(blocks)))
    order = list(range(len(blocks)))
    for turn in range(rounds):
        for place in order if turn % 2 == 0 else order[::-1]:
            found[turn, place] = blocks[place](counts[place]) / counts[place]
    return found
