"""Make the files beside this one again: models that fastText trains, texts, and what fastText answers to them.

    python make.py FASTTEXT        the path of fastText's own program, 0.9.2 or later

It trains with ten threads and ten dimensions (else 0.9.3 leaves numbers without a start), so models differ each time;
the tests compare with the answers that were written beside them.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WORDS = {
    "sport": "match goal team player league coach Stadium saison été 足球 игра".split(),
    "kitchen": "pan oven butter recipe flour sugar Messer süß パン хлеб crème".split(),
    "weather": "rain storm wind cloud sun snow Frost heiß 天气 дождь ☀".split(),
}
FILLER = "the a of and with some very today about near don't , . ! x".split()
ODD = [
    "",
    "   ",
    "nothing-known qqq zzz",
    "__label__sport rain storm __label__unknown wind",
    "tab\tgoal\x0bteam\x0c match\r player",
    "nul\0goal\0 team",
    "a\u00a0goal\u2003team\u200bmatch",
    "İstanbul ΟΔΥΣΣΕΥΣ e\u0301te\u0301 👩\u200d👧",
    "goal" * 300,
    "butter " * 700,
    "é",
    "> < <goal> </s",
]
MODELS = {
    "words.bin": "-dim 10",
    "grams.bin": "-dim 10 -wordNgrams 3 -minn 1 -maxn 4 -bucket 300",
    "versus.bin": "-dim 10 -wordNgrams 2 -bucket 200 -loss ova",
    "tree.bin": "-dim 10 -wordNgrams 2 -bucket 200 -loss hs",
}
QUANTIZED = {
    "pruned.ftz": ("-dim 10 -wordNgrams 2 -minn 2 -maxn 4 -bucket 2000", "-qnorm -cutoff 400 -dsub 3"),
    "many.ftz": ("-dim 10 -wordNgrams 2 -bucket 600", "-qout -dsub 3"),
}


def texts(draw: random.Random, label: str) -> str:
    """Return a made-up text of a topic."""
    own = WORDS[label]
    return " ".join(draw.choice(own if draw.random() < 0.4 else FILLER) for _ in range(draw.randint(1, 14)))


def main(program: str) -> None:
    """Train, quantize and ask."""

    def run(*arguments: str) -> str:
        return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout

    draw = random.Random(0)
    topics = HERE / "topics.train"
    lines = [(label, texts(draw, label)) for label in (draw.choice(sorted(WORDS)) for _ in range(500))]
    topics.write_text("".join(f"__label__{label} {text}\n" for label, text in lines), encoding="utf-8")
    many = HERE / "many.train"
    lines = [(f"{number:03}", f"w{number} {texts(draw, 'sport')}") for number in range(300) for _ in range(2)]
    many.write_text("".join(f"__label__{label} {text}\n" for label, text in lines), encoding="utf-8")
    asked = [texts(draw, draw.choice(sorted(WORDS))) for _ in range(1000 - len(ODD))]
    file = HERE / "texts.txt"
    # Not write_text, which would turn \r into a line break.
    file.write_bytes("".join(f"{text}\n" for text in [*ODD, *asked]).encode())
    for name, options in {**MODELS, **{name: both[0] for name, both in QUANTIZED.items()}}.items():
        source = many if name.startswith("many") else topics
        stem = str(HERE / Path(name).stem)
        run("supervised", "-input", str(source), "-output", stem, "-thread", "10", "-epoch", "20", *options.split())
        if name in QUANTIZED:
            run("quantize", "-input", str(source), "-output", stem, *QUANTIZED[name][1].split())
            Path(f"{stem}.bin").unlink()
        Path(f"{stem}.vec").unlink()
        best = "2" if name.startswith("many") else "-1"
        Path(f"{stem}.answers").write_text(run("predict-prob", str(HERE / name), str(file), best), encoding="utf-8")
    run(
        "skipgram",
        "-input",
        str(topics),
        "-output",
        str(HERE / "skipgram"),
        "-dim",
        "10",
        "-bucket",
        "10",
        "-thread",
        "10",
    )
    (HERE / "skipgram.vec").unlink()
    topics.unlink()
    many.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
