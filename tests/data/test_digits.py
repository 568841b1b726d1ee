"""Digits get captions that read right in every language, and no caption of the test is one that was trained on."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from lexport.data.digits import caption
from lexport.data.load import Dataset, load
from lexport.data.splits import split

LANGUAGES = 4
TEMPLATES = 20
CHOICES = range(LANGUAGES * TEMPLATES)
NUMBERS = (
    "zero one two three four five six seven eight nine".split(),
    "null eins zwei drei vier fünf sechs sieben acht neun".split(),
    "cero uno dos tres cuatro cinco seis siete ocho nueve".split(),
    list("零一二三四五六七八九"),
)
PARTS = ["train"] * 16 + ["validation"] * 2 + ["test"] * 2


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digit-captions")


@pytest.mark.parametrize(
    ("digit", "choice", "text"),
    [
        (8, 0, "a handwritten eight"),
        (8, 8, "an eight written by hand"),
        (1, 8, "a one written by hand"),
        (8, 76, "an image with an eight in the middle"),
        (3, 1, "eine handgeschriebene Drei"),
        (0, 5, "die Ziffer Null"),
        (1, 17, "ein kleines Bild einer Eins"),
        (7, 77, "ein Bild mit einer Sieben in der Mitte"),
        (1, 2, "un uno escrito a mano"),
        (8, 6, "la cifra ocho"),
        (0, 78, "una imagen con un cero en el centro"),
        (2, 3, "手写的数字二"),
        (9, 71, "这里可以看到九"),
    ],
)
def test_captions_read_as_somebody_would_write_them(digit: int, choice: int, text: str) -> None:
    assert caption(digit, choice)[0] == text


@pytest.mark.parametrize("language", range(LANGUAGES))
def test_each_language_has_twenty_templates_of_which_two_and_two_are_held_out(language: int) -> None:
    found = [caption(5, language + LANGUAGES * place) for place in range(TEMPLATES)]
    assert len({text for text, _ in found}) == TEMPLATES
    assert [part for _, part in found] == PARTS


@pytest.mark.parametrize("choice", CHOICES)
def test_a_caption_names_its_digit_once_and_no_other(choice: int) -> None:
    numbers = NUMBERS[choice % LANGUAGES]
    for digit, number in enumerate(numbers):
        text = caption(digit, choice)[0].casefold()
        words = list(text) if choice % LANGUAGES == 3 else re.findall(r"\w+", text)
        assert [word for word in words if word in numbers] == [number]


def test_choices_beyond_the_templates_begin_anew() -> None:
    assert caption(4, 2**64 - 1) == caption(4, (2**64 - 1) % len(CHOICES))


def test_the_images_are_those_of_the_package(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    package = load_digits()
    assert digits.images is not None
    assert digits.images.dtype == np.float32
    np.testing.assert_array_equal(digits.images * 16, package.data)
    assert digits.labels == [str(target) for target in package.target]


def test_each_image_comes_once_and_no_caption_is_in_two_parts(digits: Dataset) -> None:
    parts = split(digits, None)
    images = [image.tobytes() for part in vars(parts).values() for image in part.images]
    assert len(images) == len(set(images)) == 1797
    texts = [set(part.texts) for part in vars(parts).values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == len(set(digits.texts))


def test_every_template_is_used_about_equally_often(digits: Dataset) -> None:
    choice_of = {caption(digit, choice)[0]: choice for digit in range(10) for choice in CHOICES}
    used = Counter(choice_of[text] for text in digits.texts)
    assert set(used) == set(CHOICES)
    assert min(used.values()) >= 10
    languages = Counter(choice % LANGUAGES for choice in used.elements())
    assert all(abs(count - 1797 / LANGUAGES) < 60 for count in languages.values())


def test_the_parts_are_about_80_10_and_10_percent_and_hold_every_digit(digits: Dataset) -> None:
    parts = split(digits, None)
    for part, share in ((parts.train, 0.8), (parts.validation, 0.1), (parts.test, 0.1)):
        assert len(part) / len(digits) == pytest.approx(share, abs=0.02)
        assert part.classes == list("0123456789")
