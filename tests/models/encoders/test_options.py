from typing import Any

import pytest

from lexport.models.encoders import BagOptions, CNNOptions, LSTMOptions, TransformerOptions


def test_each_has_a_name_of_its_own() -> None:
    names = [kind.NAME for kind in (BagOptions, CNNOptions, LSTMOptions, TransformerOptions)]
    assert names == ["bag", "cnn", "lstm", "transformer"]


def test_widths_from_toml_or_json_equal_those_written_in_python() -> None:
    widths: Any = [2, 5]
    assert CNNOptions(widths=widths) == CNNOptions(widths=(2, 5))


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        (BagOptions, {"mode": "median"}, 'mode=\'median\' is not known; choose "mean", "sum", "max" or "sqrtn"'),
        (CNNOptions, {"widths": []}, r"widths=\[\]"),
        (CNNOptions, {"widths": [0, 2]}, r"widths=\[0, 2\]"),
        (CNNOptions, {"widths": [3, 3]}, r"widths=\[3, 3\] must be different"),
        (CNNOptions, {"filters": 0}, "filters=0 must be at least 1"),
        (CNNOptions, {"dropout": 1.0}, "dropout=1.0 must be at least 0 and below 1"),
        (LSTMOptions, {"hidden": 0}, "hidden=0 .* at least 1"),
        (LSTMOptions, {"layers": 0}, "layers=0 must be at least 1"),
        (LSTMOptions, {"directions": 3}, "directions=3 must be 1"),
        (LSTMOptions, {"dropout": -0.1}, "dropout=-0.1 must be at least 0"),
        (TransformerOptions, {"layers": 0}, "layers=0"),
        (TransformerOptions, {"heads": 0}, "heads=0"),
        (TransformerOptions, {"hidden": 0}, "hidden=0 must be at least 1"),
        (TransformerOptions, {"dropout": 1.5}, "dropout=1.5 must be at least 0 and below 1"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_value(kind: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        kind(**options)
