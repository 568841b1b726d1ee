"""Evaluations of every task as `export.evaluate.evaluate` returns them, made by hand so that each cell is known."""

from __future__ import annotations

from typing import Any

COUNTS = {"tokens": 1_200, "unknown": 3, "truncated": True}

CALIBRATION = {
    "of": "answers",
    "mean_score": 0.8125,
    "share_right": 0.75,
    "excess": 0.0625,
    "excess_interval": [0.02, 0.1],
    "expected_calibration_error": 0.07,
    "expected_calibration_error_interval": [0.03, 0.12],
    "error_by_chance": 0.025,
    "brier_score": 0.21,
    "brier_score_interval": [0.18, 0.24],
    "negative_log_likelihood": 0.61,
    "negative_log_likelihood_interval": [0.55, 0.68],
    "bins": [
        {"low": 0.45, "high": 0.7, "score": 0.575, "right": 0.5, "right_interval": [0.4, 0.6], "count": 1_500},
        {"low": 0.7, "high": 0.99, "score": 0.925, "right": 0.875, "right_interval": [0.8, 0.95], "count": 1_499},
    ],
}
ROBUSTNESS = {
    "metric": "macro_f1",
    "macro_f1": 0.72,
    "unknown_share": 0.0125,
    "draws": 5,
    "rates": [
        {"rate": 0.1, "unknown_share": 0.112, "macro_f1": 0.7, "drop": 0.02, "drop_interval": [0.01, 0.03]},
        {"rate": 0.125, "unknown_share": 0.25, "macro_f1": 0.73, "drop": -0.01, "drop_interval": [-0.02, 0.005]},
    ],
}
PER_CLASS = {
    "sport": {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 1_234},
    "art": {"precision": 0.6, "recall": 0.7, "f1": 0.65, "support": 12},
    "news": {"precision": 0.5, "recall": 0.4, "f1": 0.45, "support": 34},
}

CLASSIFY: dict[str, Any] = {
    "task": "classify",
    "metric": "accuracy",
    "accuracy": 0.75,
    "accuracy_interval": [0.7, 0.8],
    "macro_f1": 0.72,
    "macro_f1_interval": [0.66, 0.77],
    "labels": ["sport", "art", "news"],
    "data": "topics.csv",
    "part": "test",
    "count": 2_999,
    "seen": 0,
    "per_class": PER_CLASS,
    "confusion": [[1_080, 150, 4], [3, 9, 0], [0, 20, 14]],
    "calibration": CALIBRATION,
    "robustness": ROBUSTNESS,
    "mistakes": [
        {"text": "a goal\nof art", "truth": "art", "answer": "sport", "score": 0.99, "truth_score": 0.005, **COUNTS},
        {"text": "ink", "truth": "news", "answer": "art", "score": 0.8, "truth_score": 0.15, **COUNTS}
        | {"tokens": 1, "truncated": False},
    ],
}
MULTILABEL: dict[str, Any] = {
    "task": "multilabel",
    "metric": "micro_f1",
    "accuracy": 0.5,
    "accuracy_interval": [0.45, 0.55],
    "micro_f1": 0.8,
    "micro_f1_interval": [0.75, 0.85],
    "threshold": 0.5,
    "labels": ["sport", "art", "news"],
    "data": "topics.csv",
    "part": "all",
    "count": 1_000,
    "seen": 900,
    "per_class": PER_CLASS,
    "calibration": CALIBRATION | {"of": "decisions"},
    "mistakes": [
        {
            "text": "a goal",
            "label": "sport",
            "carried": True,
            "score": 0.01,
            "truth": ["sport", "news"],
            "answer": [],
            **COUNTS,
        },
        {"text": "ink", "label": "art", "carried": False, "score": 0.9, "truth": [], "answer": ["art"], **COUNTS},
    ],
}
SEARCH = {"text": "a goal", "rank": 1_024, "targets": 2_000, "score": 0.25, "found": "a post", "found_score": 0.75}
VECTOR: dict[str, Any] = {
    "task": "vector",
    "metric": "recall_at_1",
    "recall_at_1": 0.6,
    "recall_at_1_interval": [0.55, 0.65],
    "chance_at_1": 0.0005,
    "recall_at_10": 0.9,
    "recall_at_10_interval": [0.88, 0.92],
    "chance_at_10": 0.005,
    "mean_reciprocal_rank": 0.7,
    "mean_reciprocal_rank_interval": [0.67, 0.73],
    "labels": [],
    "data": "pairs.csv",
    "part": "validation",
    "count": 2_000,
    "seen": 0,
    "mistakes": [SEARCH | COUNTS],
}
JOINT: dict[str, Any] = VECTOR | {
    "task": "joint",
    "data": "images.csv",
    "image_to_text": {"recall_at_1": 0.5, "recall_at_1_interval": [0.4, 0.6], "chance_at_1": 0.01, "count": 2_000},
    "mistakes": [],
}
