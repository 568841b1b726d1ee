"""Each table, sentence and caption of the page of an evaluation, cell by cell, for every task."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from lexport.reports.evaluation import html

from .reader import Section, read
from .samples import CALIBRATION, CLASSIFY, JOINT, MULTILABEL, ROBUSTNESS, VECTOR

NAMED = {"classify": CLASSIFY, "multilabel": MULTILABEL, "vector": VECTOR, "joint": JOINT}


def sections(found: dict[str, Any]) -> dict[str, Section]:
    return read(html(found, "runs/topics"))


def drawings(found: dict[str, Any]) -> str:
    return html(found, "a model")


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        (
            "classify",
            [
                *("Metrics", "By label", "Confusion", "Confused most often", "Calibration", "Unknown words"),
                "Most confident mistakes",
            ],
        ),
        ("multilabel", ["Metrics", "By label", "Calibration", "Worst decisions"]),
        (
            "vector",
            ["Metrics", "Hardest to find: the rank of the right pair; after the arrow what came first"],
        ),
        ("joint", ["Metrics", "From image to text"]),
    ],
)
def test_a_page_has_a_section_for_each_part_of_the_evaluation(name: str, headings: list[str]) -> None:
    assert list(sections(NAMED[name])) == ["Evaluation of runs/topics", *headings]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("classify", "2,999 texts of topics.csv, part test · accuracy 0.7500 [0.7000, 0.8000]"),
        ("multilabel", "1,000 texts of topics.csv · micro f1 0.8000 [0.7500, 0.8500]"),
        ("vector", "2,000 texts of pairs.csv, part validation · recall at 1 0.6000 [0.5500, 0.6500]"),
    ],
)
def test_the_first_line_says_what_was_evaluated_and_how_well(name: str, line: str) -> None:
    assert sections(NAMED[name])["Evaluation of runs/topics"].texts[0] == line


def test_a_warning_says_how_many_texts_were_trained_on() -> None:
    texts = sections(MULTILABEL)["Evaluation of runs/topics"].texts
    assert texts[1:] == ["900 of these 1,000 texts were trained on, so the metrics are too good."]
    many = sections(MULTILABEL | {"seen": 1_900, "count": 2_000})["Evaluation of runs/topics"].texts
    assert many[1].startswith("1,900 of these 2,000 texts")
    assert '<div class="banner note">' in html(MULTILABEL, "a model")
    assert len(sections(CLASSIFY)["Evaluation of runs/topics"].texts) == 1
    assert 'class="banner' not in html(CLASSIFY, "a model")


def test_metrics_stand_with_their_intervals_in_the_order_of_the_evaluation() -> None:
    metrics = sections(CLASSIFY)["Metrics"]
    assert metrics.texts == ["In brackets 95 % intervals: what other texts of the same kind may show."]
    [table] = metrics.tables
    assert table.heads == ["Metric", "Value", "95 % interval"]
    assert table.rows == [["accuracy", "0.7500", "[0.7000, 0.8000]"], ["macro f1", "0.7200", "[0.6600, 0.7700]"]]
    assert table.styles == ["words", "", ""]


def test_recall_stands_beside_what_chance_would_find() -> None:
    found = sections(JOINT)
    [table] = found["Metrics"].tables
    assert table.heads == ["Metric", "Value", "95 % interval", "By chance"]
    assert table.rows == [
        ["recall at 1", "0.6000", "[0.5500, 0.6500]", "0.0005"],
        ["recall at 10", "0.9000", "[0.8800, 0.9200]", "0.0050"],
        ["mean reciprocal rank", "0.7000", "[0.6700, 0.7300]", ""],
    ]
    [back] = found["From image to text"].tables
    assert back.heads == table.heads
    assert back.rows == [["recall at 1", "0.5000", "[0.4000, 0.6000]", "0.0100"]]
    assert back.styles == table.styles == ["words", "", "", ""]


@pytest.mark.parametrize("name", ["classify", "multilabel"])
def test_every_label_has_a_line_in_the_order_of_the_labels(name: str) -> None:
    [table] = sections(NAMED[name])["By label"].tables
    assert table.heads == ["Label", "Precision", "Recall", "F1", "Texts"]
    assert table.rows == [
        ["sport", "0.9000", "0.8000", "0.8500", "1,234"],
        ["art", "0.6000", "0.7000", "0.6500", "12"],
        ["news", "0.5000", "0.4000", "0.4500", "34"],
    ]
    assert table.styles == ["words", "", "", "", ""]


def test_confused_labels_stand_the_most_frequent_pair_first() -> None:
    found = sections(CLASSIFY)
    assert found["Confusion"].captions == [
        "True labels and predictions",
        "True labels by row, predictions by column; the stronger a cell's colour, the larger its share of the texts "
        "with that true label.",
    ]
    [table] = found["Confused most often"].tables
    assert table.heads == ["True label", "Prediction", "Texts", "Share of the true label"]
    assert table.rows == [
        ["sport", "art", "150", "12.2%"],
        ["news", "art", "20", "58.8%"],
        ["sport", "news", "4", "0.3%"],
        ["art", "sport", "3", "25.0%"],
    ]
    assert table.styles == ["words", "words", "", ""]
    thousands = CLASSIFY | {"confusion": [[0, 1_500, 0], [0, 0, 0], [0, 0, 9]]}
    assert sections(thousands)["Confused most often"].tables[0].rows == [["sport", "art", "1,500", "100.0%"]]


def test_two_labels_and_no_mistakes_need_no_table_of_pairs() -> None:
    two = CLASSIFY | {"labels": ["good", "bad"], "confusion": [[5, 3], [2, 9]]}
    assert "Confused most often" not in sections(two)
    assert "Confusion" in sections(two)
    right = CLASSIFY | {"confusion": [[5, 0, 0], [0, 5, 0], [0, 0, 5]]}
    assert "Confused most often" not in sections(right)


def confused(labels: int) -> dict[str, Any]:
    """An evaluation in which each label but the first is mistaken for the one before it, the more often the later.

    The first labels have the most texts.
    """
    matrix = [[10 * (labels - row) * (row == column) for column in range(labels)] for row in range(labels)]
    for row in range(1, labels):
        matrix[row][row - 1] = row
    return CLASSIFY | {"labels": [f"label {place}" for place in range(labels)], "confusion": matrix}


def test_of_many_labels_those_with_the_most_mistakes_are_drawn_in_their_order() -> None:
    page = drawings(confused(30))
    assert sections(confused(30))["Confusion"].captions[1].endswith("with that true label.")
    assert page.count("answered as") == 900
    many = confused(32)
    caption = sections(many)["Confusion"].captions[1]
    assert caption.endswith("with that true label. The 30 of 32 labels with the most mistakes.")
    page = drawings(many)
    assert page.count("answered as") == 900
    assert "label 0 answered" not in page
    assert "label 1 answered" not in page
    assert page.index("label 2 answered as label 2: 300 (99.3%)") < page.index(
        "label 3 answered as label 2: 3 (1.0%)"
    )
    thousand = sections(confused(1_001))["Confusion"].captions[1]
    assert thousand.endswith("The 30 of 1,001 labels with the most mistakes.")


def test_a_label_that_others_are_mistaken_for_counts_as_often_mistaken() -> None:
    matrix = [[10 * (row == column) for column in range(31)] for row in range(31)]
    for row in range(1, 30):
        matrix[row][30] = 1  # wrong predictions are all `label 30`, and `label 0` has no mistake at all
    page = drawings(confused(31) | {"confusion": matrix})
    assert "label 30 answered" in page
    assert "label 0 answered" not in page


def test_thirty_pairs_are_listed_at_most() -> None:
    [table] = sections(confused(40))["Confused most often"].tables
    assert [row[:3] for row in table.rows] == [
        [f"label {place}", f"label {place - 1}", str(place)] for place in range(39, 9, -1)
    ]


@pytest.mark.parametrize(
    ("of", "axis", "sentence"),
    [
        ("answers", "Share correct", "Overconfident by 6.2 points [2.0, 10.0]: answers score 0.8125 on average"),
        ("decisions", "Share with the label", "Scores are too high by 6.2 points [2.0, 10.0]: labels score 0.8125"),
    ],
)
def test_calibration_is_a_sentence_errors_a_figure_and_its_bins(of: str, axis: str, sentence: str) -> None:
    found = CLASSIFY | {"calibration": CALIBRATION | {"of": of}}
    calibration = sections(found)["Calibration"]
    [said] = calibration.texts
    assert said.startswith(sentence)
    errors, bins = calibration.tables
    assert errors.heads == ["Error", "Value"]
    assert errors.rows == [
        ["expected calibration error", "0.0700 [0.0300, 0.1200]"],
        ["the same of exact scores, by chance", "0.0250"],
        ["Brier score", "0.2100 [0.1800, 0.2400]"],
        ["negative log likelihood", "0.6100 [0.5500, 0.6800]"],
    ]
    assert errors.styles == ["words", ""]
    assert bins.heads == ["Scores", "Mean score", axis, "95 % interval", of.capitalize()]
    assert bins.rows == [
        ["0.4500 – 0.7000", "0.5750", "0.5000", "[0.4000, 0.6000]", "1,500"],
        ["0.7000 – 0.9900", "0.9250", "0.8750", "[0.8000, 0.9500]", "1,499"],
    ]
    assert bins.styles == ["words", "", "", "", ""]
    assert calibration.captions == [
        "Reliability",
        "Dashed: perfectly calibrated scores. Below the line scores are too high. Bars: 95 % intervals.",
    ]


def test_the_reliability_diagram_shows_bins_with_their_intervals_beside_perfect_calibration() -> None:
    [drawing] = re.findall(
        r"<svg[^>]*aria-label=\"Reliability diagram\".*?</svg>", html(CLASSIFY, "a model"), re.DOTALL
    )
    diagram = ET.fromstring(drawing)
    ticks = [one.text for one in diagram.iter("text") if one.get("class") == "tick"]
    assert ticks == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert [one.text for one in diagram.iter("text") if one.get("class") == "label"] == ["score", "share correct"]
    # Scores from 0.5 to 1 lie at 62 to 378, shares from 0 to 1 at 234 up to 14.
    perfect, measured = diagram.findall("g")
    assert (perfect.get("class"), measured.get("class")) == ("c1 d0 faint", "c0 d0")
    assert [one.get("d") for one in perfect] == ["M62.0 124.0L378.0 14.0"]
    line, *spans = [one.get("d") for one in measured][:3]
    assert line == "M109.4 124.0L330.6 41.5"
    assert spans == ["M109.4 146.0V102.0", "M330.6 58.0V25.0"]
    assert [one.findtext("title") for one in measured[3:]] == [
        "mean score 0.5750, share correct 0.5000, 1,500 answers",
        "mean score 0.9250, share correct 0.8750, 1,499 answers",
    ]
    decisions = html(CLASSIFY | {"calibration": CALIBRATION | {"of": "decisions"}}, "a model")
    assert "mean score 0.5750, share with the label 0.5000, 1,500 decisions</title>" in decisions


def test_unknown_words_show_what_is_lost_with_signs() -> None:
    unknown = sections(CLASSIFY)["Unknown words"]
    assert unknown.texts == [
        "A share of the tokens was replaced at random by words unknown to the model, 5 times each; the intervals "
        "pair each text with its own copies."
    ]
    [table] = unknown.tables
    assert table.heads == ["Replaced", "Tokens unknown", "Macro f1", "Drop", "95 % interval"]
    assert table.rows == [
        ["none", "1.2%", "0.7200", "", ""],
        ["10%", "11.2%", "0.7000", "+0.0200", "[+0.0100, +0.0300]"],
        ["12.5%", "25.0%", "0.7300", "-0.0100", "[-0.0200, +0.0050]"],
    ]
    assert table.styles == ["words", "", "", "", ""]
    other = ROBUSTNESS | {"metric": "recall_at_1", "recall_at_1": 0.5, "rates": []}
    [table] = sections(VECTOR | {"robustness": other})["Unknown words"].tables
    assert (table.heads[2], table.rows) == ("Recall at 1", [["none", "1.2%", "0.5000", "", ""]])


@pytest.mark.parametrize(
    ("name", "heads", "rows", "styles"),
    [
        (
            "classify",
            ["truth", "answer", "score", "truth's score", "tokens", "unknown", "text"],
            [
                ["art", "sport", "0.9900", "0.0050", "1,200+", "3", "a goal of art"],
                ["news", "art", "0.8000", "0.1500", "1", "3", "ink"],
            ],
            ["words", "words", "", "", "", "", "words long"],
        ),
        (
            "multilabel",
            ["label", "mistake", "score", "truth", "tokens", "unknown", "text"],
            [
                ["sport", "missed", "0.0100", "sport, news", "1,200+", "3", "a goal"],
                ["art", "wrongly given", "0.9000", "none", "1,200+", "3", "ink"],
            ],
            ["words", "words", "", "words", "", "", "words long"],
        ),
        (
            "vector",
            ["rank", "of", "score", "first score", "tokens", "unknown", "text"],
            [["1,024", "2,000", "0.2500", "0.7500", "1,200+", "3", "a goal → a post"]],
            ["", "", "", "", "", "", "words long"],
        ),
    ],
)
def test_mistakes_stand_in_their_order_with_their_texts(
    name: str, heads: list[str], rows: list[list[str]], styles: list[str]
) -> None:
    [table] = list(sections(NAMED[name]).values())[-1].tables
    assert table.heads == heads
    assert table.rows == rows
    assert table.styles == styles
