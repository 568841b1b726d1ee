"""A picture of a map of words, for a slide: 1,920 by 1,080 pixels, with labels that do not overlap."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, import_optional
from ...evaluation.vectors.mapping import WordMap
from ...messages.escaping import visible
from ...storage.atomic import write_file
from ...storage.compression import listed
from ...storage.progress import Say
from .word_map import meaning

_SIZE, _DOTS = (1920, 1080), 120
_LABELS, _FONT_SIZE, _GAP = 260, 11, 5  # at most so many labels; points; pixels between a point and its label
_PACKAGE = ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf")
# Fonts of systems that have Chinese, Japanese and Korean characters.
_SYSTEM = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei"),
)
_USUAL = "DejaVu Sans"  # comes with matplotlib


def write_picture(made: WordMap, path: Path, *, font: Path | None, say: Say) -> Path:
    """Write a map as PNG and return its path; `say` names words that no font here can draw.

    Raises MissingExtra without matplotlib, InputError for a file that is no font.
    """
    matplotlib = import_optional("matplotlib", "A picture of a map")
    figures, canvases = (
        import_optional(f"matplotlib.{name}", "A picture of a map") for name in ("figure", "backends.backend_agg")
    )
    words = [visible(word) for word in made.words]
    families, undrawn = _families(words, font)
    if undrawn:
        say(
            f"{len(undrawn):,} words have characters that no font found here has, so they have no label: "
            f'{listed(undrawn, 5)}. pip install "lexport[vectors]" brings one for Chinese; --font FILE names another.'
        )
    with matplotlib.rc_context({"font.family": families, "axes.unicode_minus": False, "text.parse_math": False}):
        figure = figures.Figure(figsize=[side / _DOTS for side in _SIZE], dpi=_DOTS, layout="constrained")
        canvas = canvases.FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw(made, axes)
        figure.suptitle(f"{visible(made.name)}: {len(words):,} words by {made.about}", fontsize=13)
        figure.supxlabel(meaning(made), fontsize=10, color="#57606a")
        canvas.draw()  # settles where the axes are
        _label(made, words, set(undrawn), axes, canvas.get_renderer())
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return write_file(path, content.getvalue())


def _draw(made: WordMap, axes: Any) -> None:
    kinds = np.array(made.kind)
    x, y = made.points[:, 0], 1 - made.points[:, 1]
    if made.kinds:
        colours = import_optional("matplotlib", "A picture of a map").colormaps[
            "tab10" if len(made.kinds) <= 10 else "tab20"
        ]
        for number, name in enumerate(made.kinds):
            own = kinds == number
            colour = colours(number % colours.N)
            axes.scatter(x[own], y[own], s=16, color=colour, label=visible(name), linewidths=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9, markerscale=2)
    else:
        axes.scatter(x, y, s=16, c=np.log1p(kinds), cmap="viridis_r", linewidths=0)
    axes.set_axis_off()


def _label(made: WordMap, words: Sequence[str], undrawn: set[str], axes: Any, renderer: Any) -> None:
    """Write the labels of words, the first ones first, wherever there is room at the right, left, above or below."""
    properties = import_optional("matplotlib.font_manager", "A picture of a map").FontProperties(size=_FONT_SIZE)
    points = axes.transData.transform(np.column_stack([made.points[:, 0], 1 - made.points[:, 1]]))
    line = renderer.get_text_width_height_descent("lp", properties, False)  # the least height of a line
    taken: npt.NDArray[np.float64] = np.empty((0, 4))
    for word, (x, y) in zip(words, points, strict=True):
        if len(taken) >= _LABELS:
            return
        if word in undrawn:
            continue
        width, height, descent = renderer.get_text_width_height_descent(word, properties, False)
        height = max(height, line[1]) + max(0, line[2] - descent)
        for left, low in (
            (x + _GAP, y - height / 2),
            (x - _GAP - width, y - height / 2),
            (x - width / 2, y + _GAP),
            (x - width / 2, y - _GAP - height),
        ):
            box = np.array([left - 1, low - 1, left + width + 1, low + height + 1])
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= _SIZE[0] and box[3] <= _SIZE[1]
            meets = (taken[:, :2] < box[2:]).all(axis=1) & (box[:2] < taken[:, 2:]).all(axis=1)
            if inside and not meets.any():
                taken = np.vstack([taken, box])
                at = axes.transData.inverted().transform((left, low))
                axes.text(*at, word, fontproperties=properties, va="bottom", ha="left", clip_on=False)
                break


def _families(words: Sequence[str], font: Path | None) -> tuple[list[str], list[str]]:
    """Return the fonts to draw words with, the first that has a character draws it, and words that none can draw."""
    manager = import_optional("matplotlib.font_manager", "A picture of a map")
    files = [] if font is None else [font]
    spec = importlib.util.find_spec(_PACKAGE[0])
    files += [Path(folder) / _PACKAGE[1] for folder in (spec.submodule_search_locations if spec else None) or ()]
    names = []
    for file in files:
        try:
            manager.fontManager.addfont(str(file))
            names.append(manager.get_font(str(file)).family_name)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{file} cannot be read as a font: {error}. Name a .ttf, .otf or .ttc file.", code="LX-VECTORS-115"
            ) from None
    there = {entry.name for entry in manager.fontManager.ttflist}
    families = [*(names[:1] if font else []), _USUAL, *names, *(name for name in _SYSTEM if name in there)]
    families = list(dict.fromkeys(families))
    known: set[int] = set()
    for family in families:
        known |= set(manager.get_font(manager.findfont(family)).get_charmap())
    return families, [word for word in words if not known.issuperset(map(ord, word))]
