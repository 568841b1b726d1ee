"""What a run's course over time shows: the knee of a ramp, the recovery from a spike."""

from __future__ import annotations

from collections.abc import Callable

from lexport.loadtest.series import Slot, knee, recovery


def slots(
    count: int, p50_ms: Callable[[int], float | None], failures: Callable[[int], int] = lambda place: 0
) -> list[Slot]:
    return [
        Slot(float(place), 1.0, 10, failures(place), p50_ms(place), p50_ms(place), p50_ms(place))
        for place in range(count)
    ]


def test_the_knee_is_where_latency_begins_to_stay_high() -> None:
    ramp = slots(20, lambda place: 10.0 if place < 12 else 60.0)
    assert knee(ramp, 200.0, 20.0) == 120.0
    assert knee(slots(20, lambda place: 10.0 + place), 200.0, 20.0) is None
    assert knee(slots(20, lambda place: 90.0 if place == 9 else 10.0), 200.0, 20.0) is None  # one slot is noise


def test_the_knee_is_where_requests_begin_to_fail() -> None:
    assert knee(slots(20, lambda place: 10.0, lambda place: 5 * (place >= 15)), 200.0, 20.0) == 150.0
    assert knee(slots(20, lambda place: None), 200.0, 20.0) is None


def test_recovery_is_the_time_from_the_end_of_a_spike_to_the_last_slot_that_was_not_as_before() -> None:
    def late(until: int) -> list[Slot]:
        return slots(20, lambda place: 500.0 if 5 <= place < until else 10.0)

    assert recovery(late(10), 20.0, 20.0) == 0.0
    assert recovery(late(13), 20.0, 20.0) == 3.0
    assert recovery(late(20), 20.0, 20.0) is None
    failing = slots(20, lambda place: 10.0, lambda place: int(place == 11))
    assert recovery(failing, 20.0, 20.0) == 2.0
