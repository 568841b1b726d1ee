"""How many ways lead through an automaton over one text: one, or more by its length, or exponentially many.

There are exponentially many where two ways over the same text lead from a place back to it, and polynomially many
where a text is read around one loop, around another, and on the way between them (Weber and Seidl, On the degree of
ambiguity of finite automata, 1991).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import product

_MOST_STEPS = 4_000_000

Ranges = list[tuple[int, int]]
"""Code points from one number up to another, which is not among them."""


class UnknownError(Exception):
    """Something whose ways are not counted."""


class Ways:
    """The ways through an automaton, as steps that read a character each, between the states behind such steps."""

    def __init__(self, reading: Sequence[tuple[int, Ranges, int]], silent: Sequence[list[int]], start: int) -> None:
        """Follow the steps of an automaton that read a character, and of each state those that read nothing.

        Raises UnknownError for too many of them.
        """
        edges = sorted({edge for _, ranges, _ in reading for one in ranges for edge in one})
        of_state: dict[int, list[int]] = {}
        for number, (source, _, _) in enumerate(reading):
            of_state.setdefault(source, []).append(number)
        # Of the interval between two edges one bit each.
        self._reads = [_bits(ranges, edges) for _, ranges, _ in reading]
        self.empty_loop = False
        self._left = _MOST_STEPS
        self._next = [list(self._behind(silent, target, of_state)) for _, _, target in reading]
        list(self._behind(silent, start, of_state))

    def _behind(self, silent: Sequence[list[int]], state: int, of_state: dict[int, list[int]]) -> Iterator[int]:
        """Yield the steps that may follow in a state, each as often as there are ways to it, twice at most."""
        ways: dict[int, int] = {}
        entered: set[int] = set()
        waiting = [(state, False)]
        order: list[int] = []
        open_states: set[int] = set()
        while waiting:
            one, left = waiting.pop()
            if left:
                open_states.discard(one)
                order.append(one)
            elif one in open_states:
                self.empty_loop = True
            elif one not in entered:
                entered.add(one)
                open_states.add(one)
                waiting.append((one, True))
                waiting += [(after, False) for after in silent[one]]
        ways[state] = 1
        for one in reversed(order):
            for after in silent[one]:
                ways[after] = min(ways.get(after, 0) + ways.get(one, 0), 2)
        for one in order:
            for number in of_state.get(one, ()):
                self._spend(1)
                yield from [number] * ways[one]

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise UnknownError("it has too many ways to be looked at")

    def problem(self, degree: int) -> str | None:
        """Return what is wrong, or None."""
        if self.empty_loop:
            return "it repeats what may be empty"
        loops = _components(self._next)
        if any(self._divides(set(loop)) for loop in loops):
            return "there are exponentially many ways to match a text in"
        chains = [1] * len(loops)
        for place in reversed(range(len(loops))):
            for other in range(place + 1, len(loops)):
                if chains[other] >= chains[place] and self._shares(loops[place], loops[other]):
                    chains[place] = chains[other] + 1
            if chains[place] > degree + 1:
                return f"{chains[place]} repetitions behind one another read the same text"
        return None

    def _divides(self, loop: set[int]) -> bool:
        """Return whether two ways lead from a step of a loop back to it over the same text."""
        inner = self._within(loop)
        if any(len(set(found)) < len(found) for found in inner.values()):
            return True
        # Of two ways side by side: which pairs of steps come behind two equal ones, and before two equal ones.
        after = self._reached([(one, one) for one in loop], [inner, inner])
        before: dict[int, list[int]] = {one: [] for one in loop}
        for one, found in inner.items():
            for other in found:
                before[other].append(one)
        apart = {pair for pair in after if pair[0] != pair[1]}
        if not apart:
            return False
        back = self._reached([(one, one) for one in loop], [before, before])
        return any(pair in back for pair in apart)

    def _shares(self, first: Sequence[int], last: Sequence[int]) -> bool:
        """Return whether a text is read around the first loop, around the last, and on the way between them."""
        ways = [self._within(set(first)), dict(enumerate(self._next)), self._within(set(last))]
        return any(
            (one, other, other) in self._reached([(one, one, other)], ways) for one, other in product(first, last)
        )

    def _within(self, loop: set[int]) -> dict[int, list[int]]:
        """Return the steps of a loop that may follow each of its own."""
        return {one: [after for after in self._next[one] if after in loop] for one in loop}

    def _reached(self, starts: list[tuple[int, ...]], ways: Sequence[dict[int, list[int]]]) -> set[tuple[int, ...]]:
        """Return what is reached from some steps side by side, all reading the same text."""
        found: set[tuple[int, ...]] = set()
        waiting = list(starts)
        while waiting:
            at = waiting.pop()
            heads: list[tuple[tuple[int, ...], int]] = [((), -1)]
            for one, way in zip(at, ways, strict=True):
                heads = [
                    ((*head, after), common & self._reads[after])
                    for head, common in heads
                    for after in way[one]
                    if common & self._reads[after]
                ]
            for head, _ in heads:
                if head not in found:
                    found.add(head)
                    waiting.append(head)
            self._spend(len(heads))
        return found


def _bits(ranges: Ranges, edges: Sequence[int]) -> int:
    found = 0
    for first, last in ranges:
        low, high = bisect_left(edges, first), bisect_left(edges, last)
        found |= (1 << high) - (1 << low)
    return found


def _components(following: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the loops, steps that lead to one another or to themselves; earlier ones lead to later ones."""
    order: list[int] = []
    seen: set[int] = set()
    for start in range(len(following)):
        waiting = [(start, False)]
        while waiting:
            one, left = waiting.pop()
            if left:
                order.append(one)
            elif one not in seen:
                seen.add(one)
                waiting.append((one, True))
                waiting += [(after, False) for after in following[one] if after not in seen]
    before: list[list[int]] = [[] for _ in following]
    for one, found in enumerate(following):
        for after in found:
            before[after].append(one)
    taken: set[int] = set()
    loops: list[list[int]] = []
    for start in reversed(order):
        loop: list[int] = []
        level = [start]
        while level:
            one = level.pop()
            if one not in taken:
                taken.add(one)
                loop.append(one)
                level += before[one]
        if len(loop) > 1 or (loop and loop[0] in following[loop[0]]):
            loops.append(loop)
    return loops
