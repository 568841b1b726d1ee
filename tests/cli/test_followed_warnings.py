"""Every warning of `lexport train`: its command, run as printed on the data that earned it, helps as it says.

Each case trains, takes the command from the warning, runs it, and compares the measure that the warning names.
"""

from __future__ import annotations

import csv
import json
import random
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lexport.data.load import load

from .conftest import Place, Result

Command = Callable[..., Result]

TOPICS = {
    "sport": "match goal team player league coach referee stadium season cup".split(),
    "kitchen": "pan oven butter recipe flour sugar knife salt soup bread".split(),
}
FILLER = "the a of and with some very today about near this that there what which then here".split()


@dataclass(frozen=True)
class Trained:
    """A run, and the commands of the warnings on the way: by the words that a warning begins with, and of all."""

    run: Path
    commands: dict[str, str]
    together: str | None

    def read(self, name: str) -> Any:
        return json.loads((self.run / name).read_text(encoding="utf-8"))

    def metric(self, name: str, part: str = "test") -> float:
        return float(self.read("metrics.json")[part][name])

    def command(self, begin: str) -> str:
        [found] = [command for warning, command in self.commands.items() if warning.startswith(begin)]
        return found


@pytest.fixture
def follow(lexport: Command, place: Place) -> Callable[[str], Trained]:
    """Run a command line, or several joined by &&, in the folder of the data; the last is a training."""

    def run(line: str) -> Trained:
        words: list[list[str]] = [[]]
        for word in shlex.split(line):
            if word == "&&":
                words.append([])
            else:
                words[-1].append(word)
        for program, *arguments in words:
            assert program == "lexport"
            result = lexport(*arguments)
            assert (result.code, result.err) == (0, ""), result.err
        lines = result.out.splitlines()
        said = [one.removeprefix("warning: ").partition(" Try: ") for one in lines if one.startswith("warning: ")]
        together = [one.partition(": ")[2] for one in lines if one.startswith("all advice together: ")]
        out = arguments[arguments.index("--out") + 1]
        kept = json.loads((place.cwd / out / "run.json").read_text(encoding="utf-8"))["warnings"]
        assert len(kept) == len(said), "what was said is kept"
        card = (place.cwd / out / "README.md").read_text(encoding="utf-8")
        assert all(one["code"] in card for one in kept)
        return Trained(
            place.cwd / out, {warning: command for warning, _, command in said}, together[0] if together else None
        )

    return run


Follow = Callable[[str], Trained]


def write(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


def texts(count: int, share: float = 0.4, rare: float = 1.0, seed: int = 1) -> list[tuple[str, str]]:
    """Texts of 4 to 9 words, `share` of them on the topic, the second topic `rare` times as frequent as the first."""
    draw = random.Random(seed)
    rows = []
    for row in range(count):
        label = "kitchen" if draw.random() < rare / (1 + rare) else "sport"
        words = [draw.choice(TOPICS[label] if draw.random() < share else FILLER) for _ in range(draw.randint(4, 9))]
        rows.append((f"{' '.join(words)} no{row}", label))
    return rows


def inflected(count: int, seed: int = 1) -> list[tuple[str, str]]:
    """Texts whose words nobody has seen: each is a word of the topic with an ending of its own."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(sorted(TOPICS))
        endings = ["".join(draw.choices("bcdfghjklmnpqrstvwxz", k=4)) for _ in range(5)]
        rows.append((" ".join(draw.choice(TOPICS[label]) + ending for ending in endings), label))
    return rows


def test_words_that_were_cut_off_get_rows(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", texts(400, share=0.2))
    before = follow(
        "lexport train mine.csv --model bag --min-count 300 --max-vocabulary 3 --epochs 5 --out runs/mine"
    )
    after = follow(before.command("most words are unknown"))
    shares = [one.read("run.json")["data"]["unknown_share"] for one in (before, after)]
    assert shares[0] > 0.5 > shares[1]
    assert after.metric("accuracy") > before.metric("accuracy") + 0.1
    assert after.commands == {}


def test_words_that_training_lacks_are_read_by_their_parts(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", inflected(500))
    before = follow("lexport train mine.csv --model bag --epochs 8 --out runs/mine")
    after = follow(before.command("most words are unknown"))
    assert after.metric("accuracy") > before.metric("accuracy") + 0.2
    assert after.commands == {}


def test_hashed_words_that_are_new_share_parts(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", inflected(500))
    (place.cwd / "own.toml").write_text(
        '[embedding]\nname = "hashed"\n[training]\nlearning_rate = 0.02\nepochs = 8\n'
    )
    before = follow("lexport train mine.csv --model own.toml --set embedding.buckets=auto --out runs/mine")
    after = follow(before.command("most words are new"))
    assert after.metric("accuracy") > before.metric("accuracy") + 0.2
    assert after.commands == {}


def test_a_run_that_is_trained_further_learns_the_new_words(place: Place, follow: Follow) -> None:
    rows = texts(400)
    write(place.cwd / "old.csv", rows)
    write(place.cwd / "new.csv", [(" ".join(word[::-1] for word in text.split()), label) for text, label in rows])
    follow("lexport train old.csv --model bag --epochs 5 --out runs/old")
    before = follow("lexport train new.csv --from runs/old --epochs 5 --out runs/new")
    after = follow(before.command("most words are unknown"))
    assert after.metric("accuracy") > before.metric("accuracy") + 0.1
    assert after.commands == {}


def test_weights_raise_macro_f1_of_unbalanced_labels(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", texts(1500, share=0.25, rare=0.1))
    before = follow("lexport train mine.csv --model bag --out runs/mine")
    after = follow(before.command("labels are unbalanced"))
    assert after.metric("macro_f1") > before.metric("macro_f1") + 0.02
    assert after.metric("accuracy") > before.metric("accuracy") - 0.02
    assert after.commands == {}


@pytest.mark.long
def test_weights_raise_macro_f1_of_a_rare_one_of_several_labels(place: Place, follow: Follow) -> None:
    rows = [(text, "talk|rare" if label == "kitchen" else "talk") for text, label in texts(1500, 0.3, rare=0.04)]
    write(place.cwd / "mine.csv", rows)
    before = follow("lexport train mine.csv --model bag --multi-label --min-count 2 --out runs/mine")
    after = follow(before.command("labels are unbalanced"))
    assert after.metric("macro_f1") > before.metric("macro_f1") + 0.02
    assert after.commands == {}


def test_held_out_texts_that_training_has_flatter_no_more(place: Place, follow: Follow) -> None:
    # Labels by lot: nothing can be learned, but texts can be known by heart.
    draw = random.Random(3)
    words = [[f"w{draw.randrange(9000)}" for _ in range(8)] for _ in range(1500)]
    rows = [(" ".join(own), draw.choice("ab")) for own in words]
    write(place.cwd / "mine.csv", [*rows, *((text.upper(), label) for text, label in rows)])
    before = follow("lexport train mine.csv --model bag --out runs/mine")
    after = follow(before.command("the same texts are in training and held out"))
    assert after.commands == {}
    assert before.metric("accuracy") > 0.75 > after.metric("accuracy")
    dropped = after.read("run.json")["data"]["dropped"]["shared"]
    assert dropped > 100
    counts = [sum(one.metric("count", part) for part in ("validation", "test")) for one in (before, after)]
    assert counts[0] - counts[1] == dropped


def test_unused_buckets_are_done_without(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", texts(400))
    before = follow(
        "lexport train mine.csv --model bag --set text.buckets=1048576 --epochs 5 --dim 4 --out runs/mine"
    )
    after = follow(before.command("nearly all buckets stay unused"))
    sizes = [(one.run / "weights.safetensors").stat().st_size for one in (before, after)]
    assert sizes[0] > 50 * sizes[1]
    assert after.metric("accuracy") >= before.metric("accuracy") - 0.05
    assert after.commands == {}


def test_words_learn_where_gradients_reach_them(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", texts(400, share=0.4))
    before = follow(
        "lexport train mine.csv --model cnn --dim 8 --epochs 8 --set embedding.spread=100 --out runs/mine"
    )
    after = follow(before.command("embedding gradients vanish"))
    losses = [min(one.read("run.json")["training"]["validation_losses"]) for one in (before, after)]
    assert losses[1] < losses[0] / 2
    assert after.metric("accuracy") >= before.metric("accuracy")
    assert after.commands == {}


def test_a_threshold_lets_a_silent_model_answer(place: Place, follow: Follow) -> None:
    draw = random.Random(2)
    names = [f"topic{number}" for number in range(8)]
    rows = []
    for row in range(400):
        own = draw.sample(names, 2)
        rows.append((f"{' '.join(own)} {draw.choice(FILLER)} no{row}", "|".join(own)))
    write(place.cwd / "mine.csv", rows)
    before = follow("lexport train mine.csv --model bag --multi-label --epochs 1 --out runs/mine")
    after = follow(before.command("the model predicts no label"))
    assert after.metric("micro_f1") > before.metric("micro_f1") + 0.1
    assert after.commands == {}


def test_a_simpler_model_tells_texts_apart(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", texts(300, rare=0.4))
    before = follow("lexport train mine.csv --model transformer --dim 8 --epochs 4 --out runs/mine")
    after = follow(before.command("the model predicts "))
    assert after.metric("macro_f1") > before.metric("macro_f1") + 0.2
    assert after.commands == {}


def test_all_advice_can_be_followed_at_once(place: Place, follow: Follow) -> None:
    write(place.cwd / "mine.csv", texts(1500, share=0.25, rare=0.1))
    before = follow(
        "lexport train mine.csv --model bag --min-count 700 --set text.buckets=524288 --set head.dropout=0.1 "
        "--epochs 6 --dim 4 --out runs/mine"
    )
    assert len(before.commands) == 3
    assert before.together is not None
    for part in (
        "--min-count 1",
        "head.class_weights=balanced",
        "text.buckets=auto",
        "head.dropout=0.1",
        "--epochs 6",
    ):
        assert part in before.together
    after = follow(before.together)
    assert after.metric("macro_f1") > before.metric("macro_f1")
    assert after.commands == {}
    assert after.together is None


@pytest.mark.long
def test_rows_whose_labels_look_swapped_are_better_left_out(place: Place, follow: Follow, lexport: Command) -> None:
    clean = load("rotten-tomatoes")
    draw = random.Random(5)
    swapped = ["negative" if one == "positive" and draw.random() < 0.2 else one for one in clean.labels]
    for name, labels in (("clean.csv", clean.labels), ("mine.csv", swapped)):
        write(place.cwd / name, list(zip(clean.texts, labels, strict=True)))
    before = follow("lexport train mine.csv --model bag --out runs/mine")
    after = follow(before.command("labels look swapped"))
    assert after.read("run.json")["data"]["dropped"]["doubted"] > 100
    right = []
    for run in (before.run, after.run):
        result = lexport("evaluate", str(run), "clean.csv", "--part", "test", "--json")
        right.append(json.loads(result.out)["accuracy"])
    assert right[1] > right[0] + 0.01
