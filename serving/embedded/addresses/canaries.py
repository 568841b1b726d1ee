"""What `lexport canary` asks of the management address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ....errors import LexportError
from ...canary.rule import Rule
from ..http import Response
from ..processes.canaries import Canaries
from . import answers


async def operate(canaries: Canaries, lock: asyncio.Lock, asked: Mapping[str, str]) -> Response:
    """Begin a canary, end it, or return what was counted, by the values of a query. Raises Failure."""
    match asked:
        case {"canary": name, "version": version, "share": share, "header": header, "mirror": mirror}:
            try:
                rule = Rule(name, version, _share(share), header, mirror == "true")
            except LexportError as error:
                raise answers.bad_request(str(error)) from None
            try:
                async with lock:
                    await canaries.begin(rule)
            except LexportError as error:
                raise answers.failed(str(error)) from None
            return answers.answer({"status": f"{version} is a canary of {name}"})
        case {"canary": name, "end": _}:
            await canaries.end(name)
            return answers.answer({"status": f"{name} has no canary any more"})
    return answers.answer(await canaries.count(asked["canary"]))


def _share(value: str) -> float:
    """Return a share in a query; 0, which no rule takes, for what is no number."""
    try:
        return float(value)
    except ValueError:
        return 0.0
