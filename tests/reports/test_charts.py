"""Charts: where points lie, what is written, which labels of a confusion matrix are drawn and how."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from lexport.reports.charts.axes import Axis, around, categories, linear, logarithmic, percentiles, steps, tenths
from lexport.reports.charts.confusion import confusion_matrix
from lexport.reports.charts.lines import Line, keys, line_chart
from lexport.reports.charts.picture import Panel, picture

SVG = "{http://www.w3.org/2000/svg}"
UNIT = Axis("share", 0.0, 1.0, ((0.0, "0"), (0.5, "half"), (1.0, "1")))


def texts(drawing: ET.Element, style: str) -> list[str | None]:
    return [one.text for one in drawing.iter("text") if one.get("class") == style]


def paths(drawing: ET.Element, style: str) -> list[str | None]:
    return [one.get("d") for one in drawing.iter("path") if one.get("class") == style]


def matrix(labels: int, kept: int) -> ET.Element:
    counts = [[(row + 1) * (column + 1) for column in range(labels)] for row in range(labels)]
    return ET.fromstring(confusion_matrix([f"label {place}" for place in range(labels)], counts, range(kept)))


def test_a_confusion_matrix_has_a_cell_for_each_pair_by_row_and_column() -> None:
    drawing = ET.fromstring(confusion_matrix(["good", "bad"], [[900, 100], [0, 1_500]], [0, 1]))
    assert drawing.get("viewBox") == "0 0 152 152"
    assert drawing.get("style") == "max-width:152px"
    assert drawing.get("aria-label") == "Confusion matrix"
    groups = drawing.findall("g")
    assert [group.get("class") for group in groups] == ["c0", "c1", "c1", "c0"]
    cells = [group[0] for group in groups]
    assert [(cell.get("x"), cell.get("y")) for cell in cells] == [
        *(("44", "44"), ("96", "44")),
        *(("44", "96"), ("96", "96")),
    ]
    assert {(cell.get("width"), cell.get("height"), cell.get("fill")) for cell in cells} == {
        ("51", "51", "currentColor")
    }
    assert [cell.get("fill-opacity") for cell in cells] == ["0.760", "0.120", "0.040", "0.840"]
    assert [cell.findtext("title") for cell in cells] == [
        "good answered as good: 900 (90.0%)",
        "good answered as bad: 100 (10.0%)",
        "bad answered as good: 0 (0.0%)",
        "bad answered as bad: 1,500 (100.0%)",
    ]
    written = [(one.text, one.get("class"), one.get("x"), one.get("y")) for one in drawing.findall("text")[4:]]
    assert written == [
        ("900", "dark", "70", "74"),
        ("100", "label", "122", "74"),
        ("0", "label", "70", "126"),
        ("1,500", "dark", "122", "126"),
    ]


def test_labels_stand_before_their_row_and_above_their_column() -> None:
    drawing = ET.fromstring(confusion_matrix(["good", "bad"], [[1, 0], [0, 1]], [0, 1]))
    names = [(one.text, one.get("x"), one.get("y"), one.get("transform")) for one in drawing.findall("text")[:4]]
    assert names == [
        ("good", "36", "74", None),
        ("good", None, None, "translate(74 36) rotate(-90)"),
        ("bad", "36", "126", None),
        ("bad", None, None, "translate(126 36) rotate(-90)"),
    ]
    assert {one.get("class") for one in drawing.findall("text")[:4]} == {"label"}


def test_a_share_is_of_all_texts_with_the_label_also_where_columns_are_left_out() -> None:
    titles = [
        one.text
        for one in ET.fromstring(confusion_matrix("abc", [[1, 1, 2], [0, 0, 0], [0] * 3], [0, 1])).iter("title")
    ]
    assert titles[:3] == ["a answered as a: 1 (25.0%)", "a answered as b: 1 (25.0%)", "b answered as a: 0 (0.0%)"]
    assert len(titles) == 4


@pytest.mark.parametrize(("labels", "numbered", "width"), [(12, True, "51"), (13, False, "25")])
def test_up_to_twelve_labels_cells_show_their_numbers(labels: int, numbered: bool, width: str) -> None:
    drawing = matrix(labels, labels)
    assert len(drawing.findall("text")) == 2 * labels + labels**2 * numbered
    assert drawing.find("g/rect[@width]").get("width") == width  # type: ignore[union-attr]
    assert len(matrix(40, 12).findall("text")) == 24 + 144, "what is drawn counts"


@pytest.mark.parametrize(("count", "style"), [(64, "label"), (65, "dark")])
def test_the_number_on_a_deep_colour_is_dark_in_both_modes(count: int, style: str) -> None:
    drawing = ET.fromstring(confusion_matrix("ab", [[count, 100 - count], [0, 1]], [0, 1]))
    assert drawing.findall("text")[4].get("class") == style


def test_long_labels_are_cut_as_they_are_shown() -> None:
    names = ["a" * 18, "b" * 19, "\u202e" * 4]
    drawing = ET.fromstring(confusion_matrix(names, [[1] * 3] * 3, range(3)))
    assert texts(drawing, "label")[:6:2] == ["a" * 18, "b" * 17 + "…", r"\u202e\u202e\u202e"[:17] + "…"]
    assert drawing.findtext("g/rect/title") == f"{'a' * 18} answered as {'a' * 18}: 1 (33.3%)"


def test_points_lie_where_their_axes_say() -> None:
    lines = [
        Line(0, ((0.0, 0.0), (0.5, 1.0)), ("first", "second"), spans=((0.0, 0.5), (0.5, 1.0))),
        Line(6, ((0.5, 0.5),), (), faint=True, markers=False),
        Line(2, (), ()),
    ]
    drawing = ET.fromstring(line_chart("A chart", UNIT, UNIT, lines, width=284, height=160))
    # The frame is 62 to 262 wide and 14 to 114 high.
    assert drawing.get("viewBox") == "0 0 284 160"
    assert (drawing.get("width"), drawing.get("height"), drawing.get("role")) == ("284", "160", "img")
    assert drawing.get("aria-label") == drawing.findtext("title") == "A chart"
    assert paths(drawing, "line") == ["M62.0 114.0L162.0 14.0", "M162.0 64.0"]
    assert paths(drawing, "span") == ["M62.0 114.0V64.0", "M162.0 64.0V14.0"]
    assert [group.get("class") for group in drawing.findall("g")] == ["c0 d0", "c1 d1 faint", "c2 d0"]
    marks = [one for one in drawing.iter("path") if one.get("class") == "mark"]
    assert [(one.get("transform"), one.findtext("title")) for one in marks] == [
        ("translate(62.0 114.0)", "first"),
        ("translate(162.0 14.0)", "second"),
    ]
    assert paths(drawing, "grid") == ["M62 114.0H262", "M62 64.0H262", "M62 14.0H262"]
    assert paths(drawing, "axis") == ["M62.0 114v5", "M162.0 114v5", "M262.0 114v5", "M62 114H262"]
    ticks = [(one.text, one.get("x"), one.get("y")) for one in drawing.iter("text") if one.get("class") == "tick"]
    assert ticks == [
        *(("0", "54", "118.0"), ("half", "54", "68.0"), ("1", "54", "18.0")),
        *(("0", "62.0", "132"), ("half", "162.0", "132"), ("1", "262.0", "132")),
    ]
    assert texts(drawing, "label") == ["share", "share"]


@pytest.mark.parametrize(("value", "drawn"), [(0.0, 1), (0.5, 1), (1.0, 1), (-0.1, 0), (1.1, 0)])
def test_a_limit_is_drawn_where_it_is_on_the_axis(value: float, drawn: int) -> None:
    drawing = ET.fromstring(line_chart("A chart", UNIT, UNIT, [], limit=(value, "limit"), width=284, height=160))
    assert texts(drawing, "limit-name") == ["limit"] * drawn
    assert paths(drawing, "limit") == [f"M62 {114 - 100 * value:.1f}H262"] * drawn


def test_series_differ_by_colour_marker_and_dashes() -> None:
    found = keys(f"series {place}" for place in range(15))
    assert [one.name for one in found[:2]] == ["series 0", "series 1"]
    assert [one.style for one in found[::5]] == ["c0 d0", "c0 d1", "c0 d2"]
    assert len({one.style for one in found}) == 15
    assert len({one.marker for one in found}) == 5


@pytest.mark.parametrize(
    ("axis", "ends", "ticks"),
    [
        (linear("", 900), (0, 1_000), ["0", "200", "400", "600", "800", "1,000"]),
        (around("%", [76.3, 79.9], "%"), (76, 80), ["76%", "77%", "78%", "79%", "80%"]),
        (around("", [3, 3]), (3, 3), ["3", "3"]),
        (linear("", 480), (0, 500), ["0", "100", "200", "300", "400", "500"]),
        (tenths("", 0.47), (0.4, 1.0), ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]),
        (tenths("", 0.0, 2), (0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (logarithmic("ms", 3, 40), (2, 50), ["2", "5", "10", "20", "50"]),
        (steps("", [10, 100]), (10 / 1.15, 115), ["10", "100"]),
        (steps("", [10, 100], ["ten", "hundred"]), (10 / 1.15, 115), ["ten", "hundred"]),
        (categories("", ["a", "b"]), (-0.35, 1.35), ["a", "b"]),
        (percentiles("", 99.9), (0, 99.9), ["0", "50", "90", "99", "99.9"]),
    ],
)
def test_an_axis_has_round_ends_and_ticks(axis: Axis, ends: tuple[float, float], ticks: list[str]) -> None:
    assert (axis.low, axis.high) == pytest.approx(ends)
    assert [name for _, name in axis.ticks] == ticks
    assert axis.place(axis.low) == 0
    assert axis.place(axis.high) == 1


def test_each_nine_of_the_percentiles_has_the_same_width() -> None:
    axis = percentiles("", 99.99)
    nines = [axis.place(percent) for percent in (0, 90, 99, 99.9, 99.99)]
    assert nines == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_picture_is_a_file_with_its_own_style_a_legend_and_panels_side_by_side() -> None:
    panels = [Panel(name, UNIT, UNIT, [Line(0, ((0.5, 0.5),), ("point",))]) for name in ("left & right", "other")]
    text = picture("A <picture>", ["first", "second " * 20, "third"], panels)
    assert text.endswith("</svg>\n")
    drawing = ET.fromstring(text)
    assert drawing.tag == f"{SVG}svg"
    assert (drawing.get("width"), drawing.get("height")) == ("928", "448")
    assert drawing.findtext(f"{SVG}title") == "A <picture>"
    written = {one.get("class"): one.text for one in drawing.findall(f"{SVG}text")}
    assert (written["title"], written["panel"]) == ("A <picture>", "other")
    places = [one.get("transform") for one in drawing.findall(f"{SVG}g")]
    assert places == [
        *("translate(16.0 50)", "translate(16.0 72)", "translate(16.0 94)"),  # keys, a row for each
        *("translate(16 138)", "translate(472 138)"),
    ]
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"<script|href|https?:(?!//www.w3.org/2000/svg)", text)
    assert ET.fromstring(picture("none", [], panels[:1])).get("width") == "560"
