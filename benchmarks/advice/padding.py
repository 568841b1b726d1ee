"""padding_idx: what it costs, and what it does not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lexport.benchmarks.figures import say, table
from lexport.reports.charts.axes import categories
from lexport.reports.charts.picture import Panel, picture
from lexport.reports.numbers import number

from .claim import Claim, Estimate, Figures, Shown, listed, takes
from .pictures import estimates, logarithmic_ratios
from .timing import alternated, block

_WORDS, _BATCH, _LENGTH, _PADDED = 10_000, 64, 50, 0.4
_DIMS = (16, 300)


def measure(quick: bool) -> Figures:
    """Every look-up with and without a padding row, in training and in serving."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = []
        for dim in _DIMS[:1] if quick else _DIMS:
            for what in ("Embedding", "EmbeddingBag"):
                for training in (False, True):
                    found.append(_cost(what, dim, training, 2 if quick else 25))
    finally:
        torch.set_num_threads(before)
    return {"costs": found, "facts": _facts()}


def _ids() -> Tensor:
    """int64 [batch, length], zeros on the right for padding."""
    draw = np.random.default_rng(0)
    ids = np.floor(float(_WORDS) ** draw.random((_BATCH, _LENGTH))).astype(np.int64)
    lengths = draw.integers(round(_LENGTH * (1 - 2 * _PADDED)), _LENGTH + 1, _BATCH)
    ids[np.arange(_LENGTH)[None] >= lengths[:, None]] = 0
    return torch.from_numpy(ids)


def _cost(what: str, dim: int, training: bool, rounds: int) -> dict[str, Any]:
    ids = _ids()
    modules: list[nn.Module] = [
        nn.Embedding(_WORDS, dim, padding_idx=padding)
        if what == "Embedding"
        else nn.EmbeddingBag(_WORDS, dim, mode="sum", padding_idx=padding)
        for padding in (0, None)
    ]
    seconds = alternated([block(_looking_up(module, ids, training)) for module in modules], rounds)
    ratio = Estimate.of_ratios(seconds[:, 0] / seconds[:, 1])
    way = "training" if training else "serving"
    say(f"{what}, {dim} wide, {way}: {ratio.times}")
    micro = [1e6 * float(one) for one in np.median(seconds, axis=0)]
    return {"what": what, "dim": dim, "way": way, "microseconds": micro, "rounds": rounds, **ratio.__dict__}


def _looking_up(module: nn.Module, ids: Tensor, training: bool) -> Callable[[], None]:
    def serve() -> None:
        with torch.no_grad():
            module(ids)

    def train() -> None:
        module.zero_grad()
        module(ids).sum().backward()

    return train if training else serve


def _facts() -> dict[str, str]:
    """What padding_idx does beyond a row of zeros, found by trying."""
    torch.manual_seed(0)
    table_ = nn.Embedding(10, 4, padding_idx=0)
    short, padded = table_(torch.tensor([[3, 4]])).mean(dim=1), table_(torch.tensor([[3, 4, 0, 0]])).mean(dim=1)
    table_(torch.tensor([[3, 0]])).sum().backward()
    assert table_.weight.grad is not None
    given = nn.Embedding.from_pretrained(torch.ones(10, 4), padding_idx=0)  # type: ignore[no-untyped-call]
    bag = nn.EmbeddingBag(10, 4, mode="mean", padding_idx=0)
    same = torch.allclose(bag(torch.tensor([[3, 4]])), bag(torch.tensor([[3, 4, 0, 0]])))
    shorter = float((padded.norm() / short.norm()).detach())
    return {
        "gradient of the padding row": f"{float(table_.weight.grad[0].abs().max()):g}",
        "`nn.Embedding(…).mean(1)` of two words, with two more of padding": f"{shorter:g} of its length without",
        '`nn.EmbeddingBag(mode="mean")` likewise': "the same vector" if same else "another vector",
        "the padding row after `from_pretrained(ones, padding_idx=0)`": f"{given.weight[0].tolist()}",
    }


def show(figures: Figures) -> Shown:
    """The verdict by which ratios lie above one."""
    costs = figures["costs"]
    dear = [one for one in costs if Estimate.restored(one).low > 1.1]
    worst = max(costs, key=lambda one: float(one["value"]))
    plain = [one for one in costs if one["what"] == "Embedding"]
    bags = [one for one in costs if one["what"] == "EmbeddingBag"]

    def span(every: list[dict[str, Any]]) -> str:
        ratios = [one["value"] for one in every]
        return f"{number(min(ratios))} to {number(max(ratios))} times"

    verdict = (
        f"A look-up takes {span(plain)} as long with it as without in `nn.Embedding`, {span(bags)} in "
        f"`nn.EmbeddingBag`; the worst, {_case(worst)}, {takes(Estimate.restored(worst), 'without')}. "
        + (f"More than a tenth dearer beyond doubt: {listed([_case(one) for one in dear])}. " if dear else "")
        + "And it masks nothing in `nn.Embedding`: it is a row that starts at zero and gets no gradient. A mean "
        "over the vectors still counts the padding, and vectors given to `from_pretrained` keep whatever that row "
        "held."
    )
    short = (
        f"**{'Not always' if dear else 'Yes'}.** Up to {number(worst['value'])} times the time ({_case(worst)}); in "
        "`Embedding` it masks nothing"
    )
    how = (
        f"{_BATCH} texts of up to {_LENGTH} words, {_PADDED:.0%} of the cells padding, a table of {_WORDS:,} words, "
        "one thread. Serving is the look-up without gradients, training the look-up with its backward pass. Ratios: "
        f"medians of {costs[0]['rounds']} rounds in turns."
    )
    rows = [
        [
            f"`{one['what']}`",
            str(one["dim"]),
            one["way"],
            *(f"{micro:,.0f}" for micro in one["microseconds"]),
            Estimate.restored(one).times,
        ]
        for one in costs
    ]
    tables = [
        table(["look-up", "wide", "way", "with, µs", "without, µs", "ratio"], rows),
        table(["tried", "outcome"], [[what, answer] for what, answer in figures["facts"].items()]),
    ]
    return Shown(
        short, verdict, how, "\n".join(tables), _picture(costs), "Time with padding_idx as a ratio to without"
    )


def _case(one: dict[str, Any]) -> str:
    return f"`{one['what']}`, {one['dim']} wide, {one['way']}"


def _picture(costs: list[dict[str, Any]]) -> str:
    names, dims = ("Embedding", "EmbeddingBag"), sorted({one["dim"] for one in costs})
    x = categories("width of a vector", [str(dim) for dim in dims])
    y = logarithmic_ratios([one[end] for one in costs for end in ("low", "high")])
    panels = []
    for way in ("serving", "training"):
        dots = []
        for one in costs:
            if one["way"] == way:
                series = names.index(one["what"])
                place = dims.index(one["dim"]) + 0.1 * series - 0.05
                dots.append(estimates(series, [(place, Estimate.restored(one))], one["what"]))
        panels.append(Panel(f"Time of a look-up, {way} (lower is better)", x, y, dots, (1.0, "without")))
    return picture("padding_idx: time with it ÷ time without", [f"nn.{name}" for name in names], panels)


CLAIM = Claim("padding", "padding_idx", "`padding_idx` masks the padding and costs nothing.", measure, show)
