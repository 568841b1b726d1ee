"""How much memory something needed at its peak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lexport.storage.memory import give_back, peak_memory


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not say how much memory")
def test_peak_memory_is_what_a_process_held_for_a_while() -> None:
    def working() -> int:
        held = np.ones(8_000_000)  # 64 MB, given back before the end
        return int(held.sum())

    found, bytes_more = peak_memory(working)
    assert found == 8_000_000
    assert bytes_more is not None
    assert 50e6 < bytes_more < 100e6
    small = peak_memory(lambda: None)[1]
    assert small is not None
    assert small < 20e6


def test_giving_memory_back_may_be_asked_for_anywhere() -> None:
    give_back()
