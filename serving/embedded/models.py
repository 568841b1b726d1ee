"""The models of a process, and which of them answers a request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ..canary.rule import Rule
from .addresses import answers
from .canaries import Canary
from .http import Later, Response
from .model import Model, Question
from .versions import Versions


class Models(Versions[Model | None]):
    """The versions that are served; None for one that no worker answers, for now."""

    def __init__(self) -> None:
        """Serve none."""
        super().__init__()
        self.canaries: dict[str, Canary] = {}
        """The canary of a name, while one runs."""

    def add(self, model: Model) -> None:
        """Serve a version."""
        self.put(model.name, model.version, model)

    def suspend(self, name: str, version: str) -> None:
        """Know a version that no worker answers. What waits for it is still answered."""
        self.put(name, version, None)

    @property
    def answering(self) -> list[Model]:
        """Those that answer."""
        return [model for _, _, model in self if model is not None]

    def only(self) -> str | None:
        """Return the name of the only model that is served; None if there are several, or none."""
        return next(iter(self.defaults)) if len(self.defaults) == 1 else None

    def ask(self, name: str, version: str | None = None) -> Model:
        """Return a version that answers, None: the default one. Raises Failure if it is not here or has no worker."""
        found = self.find(name, version)
        if found is None:
            raise answers.no_worker(name)
        return found

    def answer(
        self,
        name: str,
        version: str | None,
        question: Question,
        header: Callable[[str], str | None],
        *,
        turns: int = 0,
    ) -> Later[Response]:
        """Return the answer to come of a version, None: the default one, or the canary's share of its requests.

        `header` returns a header of the request by its lower-case name; `turns` as for `Batcher.submit`. Raises
        Failure as `ask`, Refusal if too many wait.
        """
        model = self.ask(name, version)
        if not self.canaries or version is not None or (canary := self.canaries.get(name)) is None:
            return model.ask(question, turns=turns)
        return canary.ask(question, header(canary.rule.header), model, turns=turns)

    def begin_canary(self, identity: str, rule: Rule) -> None:
        """Send a share of a name's requests to another version, from the next request on."""
        self.canaries[rule.name] = Canary(identity, rule, partial(self._answering, rule.name))

    def _answering(self, name: str, version: str) -> Model | None:
        with suppress(answers.Failure):
            return self.find(name, version)
        return None
