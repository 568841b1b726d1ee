"""The settings that a search tries: candidates, chosen so that the first of any number cover the space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...export.archive.batching import Batches
from ...serving.plan import MAX_BY_DEFAULT

SIZES = (1, 8, 64)
"""Requests of a batch that are tried, beside the archive's own."""
DELAYS = (1, 5)
"""ms for which TorchServe waits for a batch to fill, beside the archive's own."""
TORCHSERVE_OWN = Batches(1, 100)
"""What TorchServe takes for an archive without settings."""


@dataclass(frozen=True)
class Candidate:
    """The settings of a server of one model."""

    engine: str
    archive: str
    """Label of the archive; of a run, of one of its variants."""
    workers: int
    """Workers, or processes of the embedded engine."""
    threads: int | None
    """Threads of each; None: the cores divided by the workers."""
    batch_size: int
    """Requests in a batch, at most."""
    batch_delay: int
    """ms for which TorchServe waits for a batch to fill; 0 of the embedded engine, which never waits."""

    @property
    def worker_set(self) -> str:
        """The workers as `--workers` takes them."""
        return f"cpu:{self.workers}" + (f"x{self.threads}" if self.threads else "")

    def batches(self, own: Batches) -> Batches:
        """Return the batches as an archive has them, whose `own` delay says nothing to the embedded engine."""
        return Batches(self.batch_size, own.delay if self.engine == "embedded" else self.batch_delay)

    def __str__(self) -> str:
        """Return the settings in words."""
        waits = f", {self.batch_delay} ms" if self.batch_delay else ""
        return f"{self.archive} on {self.engine} {self.worker_set}, batches of {self.batch_size}{waits}"

    def differences(self, other: Candidate) -> list[str]:
        """Return the names of the settings in which `other` differs; of a delay only where both wait."""
        names = [name for name in SETTINGS if getattr(self, name) != getattr(other, name)]
        return [name for name in names if name != "batch_delay" or (self.waits and other.waits)]

    @property
    def waits(self) -> bool:
        """Whether the delay means anything: a batch of one, and the embedded engine, wait for nobody."""
        return self.engine != "embedded" and self.batch_size > 1


SETTINGS = {
    "engine": "engine",
    "archive": "variant",
    "workers": "workers",
    "threads": "threads",
    "batch_size": "batch size",
    "batch_delay": "batch delay",
}
"""The settings of a candidate with their names for people."""


@dataclass(frozen=True)
class Served:
    """What the search must know of an archive."""

    label: str
    batches: Batches
    """Those that it is served with unless they are changed."""
    can_change: bool
    """Whether its batches can be changed."""
    parallel: bool
    """Whether its model gains by more than one thread."""
    engines: tuple[str, ...]
    """The engines that serve it."""
    workers: int | None = None
    """The number of workers that it fixes."""


def default_of(archive: Served, engine: str, cores: int) -> Candidate:
    """Return what `lexport serve` does with an archive if it is told nothing but the engine."""
    workers = archive.workers or max(1, min(MAX_BY_DEFAULT, cores))
    delay = 0 if engine == "embedded" else archive.batches.delay
    return Candidate(engine, archive.label, workers, None, archive.batches.size, delay)


def candidates(archives: Sequence[Served], engines: Sequence[str], cores: int) -> list[Candidate]:
    """Return every candidate of the search, the default of the first archive and engine first.

    Those that need the same server, but for its workers, follow one another. The groups with the defaults of each
    archive and engine come first, the others in an order in which each is the farthest from all before, so that the
    first of any number are spread over the space.
    """
    first = next((archive, engine) for archive in archives for engine in engines if engine in archive.engines)
    groups: dict[tuple[object, ...], list[Candidate]] = {}
    for one in [default_of(*first, cores), *_grid(archives, engines, cores)]:
        group = groups.setdefault(server_of(one), [])
        if one not in group:
            group.append(one)
    defaults = [default_of(one, engine, cores) for one in archives for engine in engines if engine in one.engines]
    ordered = _spread([server_of(one) for one in defaults], [group[0] for group in groups.values()])
    return [one for head in ordered for one in groups[server_of(head)]]


def server_of(candidate: Candidate) -> tuple[object, ...]:
    """Return what a server cannot change while it runs: two candidates with the same differ in workers alone."""
    fixed = replace(candidate, workers=0)
    # Threads that were asked for are divided again when workers are added.
    return (fixed, candidate.workers if candidate.threads else None)


def _grid(archives: Sequence[Served], engines: Sequence[str], cores: int) -> Iterable[Candidate]:
    for archive in archives:
        for engine in (name for name in engines if name in archive.engines):
            default = default_of(archive, engine, cores)
            for size, delay in _batches(archive, engine):
                for workers, threads in _workers(archive, cores):
                    yield replace(default, workers=workers, threads=threads, batch_size=size, batch_delay=delay)


def _batches(archive: Served, engine: str) -> list[tuple[int, int]]:
    own = archive.batches
    sizes = sorted({*SIZES, own.size}) if archive.can_change else [own.size]
    if engine == "embedded":
        return [(size, 0) for size in sizes]
    delays = sorted({*DELAYS, own.delay} - {TORCHSERVE_OWN.delay}) if archive.can_change else [own.delay]
    # A batch of one waits for nobody, whatever its delay.
    return [(size, delay) for size in sizes for delay in (delays if size > 1 else delays[:1])]


def _workers(archive: Served, cores: int) -> list[tuple[int, int | None]]:
    if archive.workers is not None:
        return [(archive.workers, None)]
    counts = sorted({*(2**power for power in range(int(math.log2(cores)) + 1)), min(cores, MAX_BY_DEFAULT)})
    divided: list[tuple[int, int | None]] = [(count, None) for count in counts if count <= 16]
    # One thread each where the cores divided would be several: the others are left to the frontend.
    alone: list[tuple[int, int | None]] = [(count, 1) for count, _ in divided if cores // count > 1]
    return divided + (alone if archive.parallel else [])


def _spread(first: Sequence[object], heads: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates whose servers are `first`, then those that are each the farthest from all before."""
    ordered = [one for one in heads if server_of(one) in first]
    left = [one for one in heads if one not in ordered]
    while left:
        farthest = max(left, key=lambda one: min(_distance(one, other) for other in ordered))
        left.remove(farthest)
        ordered.append(farthest)
    return ordered


def _distance(one: Candidate, other: Candidate) -> float:
    """Return how far apart two candidates are: a step of an ordered setting counts by its logarithm."""
    return (
        2.0 * (one.engine != other.engine)
        + 1.0 * (one.archive != other.archive)
        + 0.5 * (one.threads != other.threads)
        + abs(math.log2(one.batch_size / other.batch_size)) / 6
        + abs(math.log2((one.batch_delay + 1) / (other.batch_delay + 1))) / 6
        + abs(math.log2(one.workers / other.workers)) / 6
    )
