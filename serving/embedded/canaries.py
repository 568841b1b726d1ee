"""A share of a model's requests goes to another version, or copies of them do, and both are counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...handlers.request.refusals import Refusal
from ..canary.counts import Side, Tally
from ..canary.rule import Chooser, Rule
from .http import Later, Response

if TYPE_CHECKING:
    from .model import Model, Question

Find = Callable[[str], "Model | None"]
"""Returns a version of the model, or None if it does not answer."""


class _Passed(Later[Response]):
    """The answer of another `Later`, which is given up with this one."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Later[Response]) -> None:
        super().__init__()
        self._inner = inner

    def cancel(self) -> bool:
        self._inner.cancel()
        return super().cancel()


class Canary:
    """One canary in one process."""

    def __init__(self, identity: str, rule: Rule, find: Find) -> None:
        """Choose by the `rule`, of the versions that `find` finds; `identity` names what is counted."""
        self.identity = identity
        self.rule = rule
        self.tally = Tally()
        self._chooser = Chooser(rule)
        self._find = find

    def ask(self, question: Question, value: str | None, stable: Model, *, turns: int = 0) -> Later[Response]:
        """Return the answer to come of the version that a header's `value` chooses; `stable` is the default.

        The canary's requests go to the default while no worker answers the canary. Raises Refusal if too many wait.
        """
        canary = self._find(self.rule.version) if self._chooser.is_chosen(value) else None
        if canary is None:
            return self._counted(stable, question, self.tally.stable, turns)
        if not self.rule.mirror:
            return self._counted(canary, question, self.tally.canary, turns)
        return self._counted(stable, question, self.tally.stable, turns, partial(self._copy, question, canary, turns))

    def _counted(
        self,
        model: Model,
        question: Question,
        side: Side,
        turns: int,
        then: Callable[[Response], None] | None = None,
    ) -> Later[Response]:
        began = time.perf_counter()
        try:
            inner = model.ask(question, turns=turns)
        except Refusal as refusal:
            side.note(refusal.status, 0.0)
            raise
        outer = _Passed(inner)

        def pass_on(done: Later[Response]) -> None:
            if done.cancelled():
                return
            if (error := done.exception()) is not None:
                side.note(error.status if isinstance(error, Refusal) else 500, 0.0)
                outer.set_exception(error)
                return
            response = done.result()
            side.note(response.status, time.perf_counter() - began)
            outer.set_result(response)
            if then is not None:
                then(response)

        inner.add_done_callback(pass_on)
        return outer

    def _copy(self, question: Question, canary: Model, turns: int, answered: Response) -> None:
        """Ask the canary what the default has answered; whoever asked does not wait for it."""
        copy = question._replace(arrived=time.perf_counter(), trace=None)
        try:
            copied = self._counted(canary, copy, self.tally.canary, turns)
        except Refusal:  # counted; nobody else is concerned
            return
        copied.add_done_callback(partial(self._compare, answered))

    def _compare(self, answered: Response, copied: Later[Response]) -> None:
        if not copied.cancelled() and copied.exception() is None and copied.result().status < 400 > answered.status:
            self.tally.compare(answered.body, copied.result().body)
