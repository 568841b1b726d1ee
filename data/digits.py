"""Captions for scikit-learn's handwritten digits, to train texts and images in one space.

The images are real (8 x 8 values each, from the UCI set of optical recognition of handwritten digits), the
captions are generated: a hash of the image selects language and template. The template also decides the part, so
that no test caption occurs in training. A template contains no other number word.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

from .columns import Row

_BRIGHTEST = 16  # the values of an image are whole numbers from 0 to this

# Every language has the same number of templates; the last two are for the test, the two before for validation.
_HELD_OUT = {-4: "validation", -3: "validation", -2: "test", -1: "test"}

_NUMBERS = {
    "en": "zero one two three four five six seven eight nine",
    "de": "Null Eins Zwei Drei Vier Fünf Sechs Sieben Acht Neun",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "zh": "零 一 二 三 四 五 六 七 八 九",
}

# {word} is the number, {a} its indefinite article, which only English changes.
_TEMPLATES = {
    "en": """
        a handwritten {word}
        the digit {word}
        {a} {word} written by hand
        the number {word} in dark ink
        a small picture of {a} {word}
        this is {a} {word}
        somebody wrote {a} {word} here
        a scan of the digit {word}
        a grey image that shows {a} {word}
        it looks like {a} {word} to me
        what you see is the number {word}
        the {word} of a postal code
        {a} {word} from an old form
        a blurred {word} on white paper
        a single character: the {word}
        we read {a} {word} in this picture
        a pencil drawing of the number {word}
        here you can see {a} {word}
        the digit {word} as a child writes it
        an image with {a} {word} in the middle
    """,
    "de": """
        eine handgeschriebene {word}
        die Ziffer {word}
        eine {word}, von Hand geschrieben
        die Zahl {word} in dunkler Tinte
        ein kleines Bild einer {word}
        das ist eine {word}
        hier hat jemand eine {word} geschrieben
        ein Scan der Ziffer {word}
        ein graues Bild, das eine {word} zeigt
        für mich sieht das wie eine {word} aus
        zu sehen ist die Zahl {word}
        die {word} aus einer Postleitzahl
        eine {word} von einem alten Formular
        eine unscharfe {word} auf weißem Papier
        ein einzelnes Zeichen: die {word}
        auf diesem Bild lesen wir eine {word}
        eine Bleistiftzeichnung der Zahl {word}
        hier sieht man eine {word}
        die Ziffer {word}, wie ein Kind sie schreibt
        ein Bild mit einer {word} in der Mitte
    """,
    "es": """
        un {word} escrito a mano
        la cifra {word}
        el dígito {word} manuscrito
        el número {word} en tinta oscura
        una imagen pequeña de un {word}
        esto es un {word}
        alguien escribió aquí un {word}
        un escaneo del dígito {word}
        una imagen gris que muestra un {word}
        a mí me parece un {word}
        lo que se ve es el número {word}
        el {word} de un código postal
        un {word} de un formulario antiguo
        un {word} borroso sobre papel blanco
        un solo carácter: el {word}
        en esta imagen leemos un {word}
        un dibujo a lápiz del número {word}
        aquí se puede ver un {word}
        la cifra {word} tal como la escribe un niño
        una imagen con un {word} en el centro
    """,
    "zh": """
        手写的数字{word}
        数字{word}
        用手写出来的{word}
        用深色墨水写的数字{word}
        数字{word}的小图片
        这是{word}
        有人在这里写了{word}
        数字{word}的扫描图
        显示{word}的灰色图像
        我看这像是{word}
        你看到的是数字{word}
        邮政编码里的{word}
        旧表格上的{word}
        白纸上模糊的{word}
        单个字符：{word}
        我们在图中读到{word}
        用铅笔画的数字{word}
        这里可以看到{word}
        像孩子写的数字{word}
        中间有{word}的图像
    """,
}


def caption(digit: int, choice: int) -> tuple[str, str]:
    """Return a caption for `digit` (0 to 9) and its part; `choice`, at least 0, selects language and template."""
    languages = list(_NUMBERS)
    language = languages[choice % len(languages)]
    templates = [line.strip() for line in _TEMPLATES[language].strip().splitlines()]
    place = choice // len(languages) % len(templates)
    word = _NUMBERS[language].split()[digit]
    text = templates[place].format(word=word, a="an" if word == "eight" else "a")
    return text, _HELD_OUT.get(place - len(templates), "train")


def read(path: Path) -> Iterator[Row]:
    """Yield a row per image: its caption, the digit as the label, 64 values from 0 (paper) to 1 (ink), the part."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        for line in lines:
            *values, digit = map(int, line.split(","))
            choice = int.from_bytes(hashlib.sha256(bytes(values)).digest()[:8], "big")
            text, part = caption(digit, choice)
            yield Row(0, text, str(digit), image=[value / _BRIGHTEST for value in values], part=part)
