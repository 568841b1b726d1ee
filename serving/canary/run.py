"""Run a canary on a server of either engine until there is a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError, LexportError, RefusedError
from ...storage.progress import Say, silent
from ..folders import Busy, held
from ..operations.change import make_default
from ..operations.locking import TIMEOUT, Changing, changing
from ..record import Deployed
from ..settings.addresses import Address
from ..state import Server
from .counts import Tally
from .rule import Rule
from .verdict import Limits, Verdict, errors_of, judge

Count = Callable[[], dict[str, Any]]

_PAUSE = 0.5  # seconds between two looks
_MORE = 1.25  # few looks at whether it passes: each one is a chance to pass by luck


@dataclass(frozen=True)
class Result:
    """What became of a canary, or how it does now."""

    stable: Deployed
    """The version that was the default when it began."""
    canary: Deployed
    rule: Rule
    tally: Tally
    verdict: Verdict
    seconds: float = 0.0
    """Since it began."""
    promoted: bool = False
    """Whether it is the default now."""

    @property
    def share(self) -> float | None:
        """Share of the requests that the canary got; None before the first."""
        canary, stable = self.tally.canary.answers, self.tally.stable.answers
        total = stable if self.rule.mirror else canary + stable
        return canary / total if total else None

    def to_json(self) -> dict[str, Any]:
        """Return name, the two versions, rule, counts, verdict and what was done."""
        return {
            "name": self.canary.name,
            "version": self.canary.version,
            "default": self.stable.version,
            "share": self.rule.share,
            "measured_share": self.share,
            "header": self.rule.header,
            "mirror": self.rule.mirror,
            "seconds": self.seconds,
            "promoted": self.promoted,
            "verdict": self.verdict.to_json(),
            "changes": dict(self.tally.changes.most_common()),
            **{
                side: {"answers": counted.answers, "statuses": {str(key): n for key, n in counted.statuses.items()}}
                for side, counted in (("stable", self.tally.stable), ("canary", self.tally.canary))
            },
        }


def canary(
    rule: Rule,
    limits: Limits | None = None,
    *,
    promoted: bool = False,
    listen: Address | None = None,
    seconds: float = 3_600.0,
    state_dir: Path | None = None,
    timeout: float = TIMEOUT,
    say: Say = silent,
    watch: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Send a share of a name's requests to a version that is not its default, and return what came of it.

    It ends when the verdict is `failed`, which is looked for twice a second, or `passed`, which is looked for when
    the canary has answered as often as `limits` ask for, and with each quarter more; or `undecided`, after
    `seconds`. All requests go to the default then, unless the canary passed and was to be `promoted`. `watch` is
    called with every look. `listen`: on TorchServe, where the proxy listens; None: in TorchServe's place (Linux).

    Raises InputError for a version that is not served or is the default, RefusedError for one that no worker
    answers, SystemProblem if the server cannot do it, or ends meanwhile.
    """
    limits = limits or Limits()
    with ExitStack() as stack:
        with changing(state_dir, timeout, say) as change:
            stable, chosen = _versions(change, rule)
            if listen is not None and change.server.own_code:
                raise InputError(
                    "--listen is for a server of TorchServe, in front of which a proxy runs; the other engines "
                    "send requests to a canary by themselves. Leave it out.",
                    code="LX-SERVE-197",
                )
            stack.enter_context(held(change.server.run_dir, _busy(change.server)))
            count = stack.enter_context(_routed(change, rule, listen))
            what = f"{'copies of ' * rule.mirror}{rule.share:.1%} of the requests for {rule.name}"
            say(f"{chosen} gets {what}; {stable} is the default.")
            change.note("canary", chosen, stable.version)
        result = _watched(
            count, Result(stable, chosen, rule, Tally(), judge(Tally(), limits)), limits, seconds, watch
        )
        if promoted and result.verdict.state == "passed":
            with changing(state_dir, timeout, say) as change:
                make_default(change, chosen)
            result = replace(result, promoted=True)
        return result


def _watched(count: Count, result: Result, limits: Limits, seconds: float, watch: Callable[[Result], None]) -> Result:
    """Look at a canary until there is a verdict, or the time is over; return the last look."""
    began, due = time.monotonic(), limits.least
    while True:
        tally = Tally.of(count())
        verdict = judge(tally, limits, mirror=result.rule.mirror)
        result = replace(result, tally=tally, verdict=verdict, seconds=time.monotonic() - began)
        watch(result)
        if verdict.state == "failed" or time.monotonic() - began >= seconds:
            return result
        if tally.canary.answers >= due:
            if verdict.state == "passed":
                return result
            due = int(tally.canary.answers * _MORE)
        time.sleep(_PAUSE)


def _busy(server: Server) -> Busy:
    return Busy(
        f"A canary runs on the server at {server.inference_url} already. Wait for its verdict, or end it with Ctrl-C "
        "where it runs.",
        code="LX-SERVE-204",
    )


def _versions(change: Changing, rule: Rule) -> tuple[Deployed, Deployed]:
    """Return the default and the canary. Raises InputError or RefusedError for what cannot be one."""
    stable, chosen = change.version(rule.name), change.version(rule.name, rule.version)
    if chosen == stable:
        raise InputError(
            f"{chosen} is the default of {rule.name} already, so there is nothing to compare it with. Deploy another "
            "version beside it: lexport deploy MAR",
            code="LX-SERVE-198",
        )
    described = change.control.version(rule.name, rule.version)
    if described is None or not any(one["status"] == "READY" for one in described["workers"]):
        raise RefusedError(
            f"{chosen} has no worker that is ready, so it cannot be tried. lexport scale {rule.name} N --version "
            f"{rule.version} gives it some.",
            code="LX-SERVE-199",
        )
    return stable, chosen


@contextmanager
def _routed(change: Changing, rule: Rule, listen: Address | None) -> Iterator[Count]:
    """Context manager: the rule holds; what it gives returns what has been counted."""
    if change.server.own_code:
        change.control.begin_canary(rule)
        try:
            yield lambda: change.control.count_canary(rule.name)
        finally:
            with suppress(LexportError):  # the server may have ended; the canary has then, too
                change.control.end_canary(rule.name)
    else:
        from ..torchserve.proxy.running import running

        with running(change.server, rule, listen) as proxy:
            yield proxy.count


def reason(result: Result) -> str:
    """Return why a canary failed or is undecided, in a line."""
    wanted = "failed" if result.verdict.state == "failed" else "undecided"
    parts = [
        f"{one.name}: {one.found} (limit: {one.limit})" for one in result.verdict.criteria if one.state == wanted
    ]
    if result.verdict.state == "failed" and (errors := errors_of(result.tally.canary)):
        parts.append(f"its errors: {errors}")
    return "; ".join(parts) or f"{result.tally.canary.answers:,} answers, fewer than were asked for"
