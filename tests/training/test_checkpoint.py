"""A training that ends early goes on to the same weights, wherever it ended; what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lexport.data.load import Columns
from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.recipes import Recipe
from lexport.models.run import Run
from lexport.training.checkpoint import checkpoint_folder, folder_of
from lexport.training.device import Device
from lexport.training.train import train

from ..refusals import refused

TASKS = {"classify": Columns(), "languages": Columns(language="lang"), "joint": Columns(label=None, image="image")}
SMALL = "[text]\nngrams = 2\nbuckets = 256\nmin_count = 1\n[embedding]\ndim = 8"


def of(parts: str, training: str = "") -> Recipe:
    return recipes.parse("mine", f"{parts}\n[training]\nepochs = 3\nbatch_size = 8\n{training}")


CASES = {
    "adam": of(SMALL),
    "sparse-adam": of(f"{SMALL}\nsparse = true", "learning_rate = 0.02"),
    "adagrad": of(f"{SMALL}\nsparse = true", 'optimizer = "adagrad"\nclip = 0.1'),
    "sgd-frozen": of(SMALL, 'optimizer = "sgd"\nfrozen_epochs = 1\nreleased_rate = 0.1\nschedule = "linear"'),
    "fp16": of(SMALL, 'precision = "fp16"\noptimizer = "adamw"\nweight_decay = 0.1'),
    "averaging": of(f"{SMALL}\nsparse = true", 'optimizer = "adagrad"\naveraging = 0.6'),
    "lstm": of('[embedding]\ndim = 8\n[encoder]\nname = "lstm"\nhidden = 8', "clip = 1.0"),
    "transformer": of('[embedding]\ndim = 8\n[encoder]\nname = "transformer"'),
    "char_cnn": of('[text]\nword_length = 8\n[embedding]\nname = "char_cnn"\ndim = 8\n[encoder]\nname = "cnn"'),
    "dynamic_dim": of('[embedding]\nname = "dynamic_dim"\ndim = 8\nsparse = true'),
    "hashed": of('[text]\nsubwords = [3, 4]\n[embedding]\nname = "hashed"\nbuckets = 512\ndim = 8'),
    "languages": of('[embedding]\nname = "multilingual"\ndim = 8'),
    "joint": of('[embedding]\ndim = 8\n[head]\nname = "joint"\nsize = 8\nhidden = 8'),
}


class Cut(BaseException):
    """What ends a training, as a signal would."""


def trained(case: str, data: Path, out: Path, cut: int | None = None, **options: Any) -> Run:
    """Train a case, with a checkpoint at every look at the clock; `cut`: end it at so many looks."""
    looks = 0

    def progress(*_: object) -> None:
        nonlocal looks
        looks += 1
        if looks == cut:
            raise Cut

    columns = TASKS.get(case, TASKS["classify"])
    return train(
        str(data), out, recipe=CASES[case], columns=columns, checkpoint_every=0, progress=progress, **options
    )


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "weights.safetensors")


@pytest.mark.parametrize("case", CASES)
def test_a_training_cut_short_twice_ends_with_the_weights_of_an_unbroken_one(
    tasks_jsonl: Path, tmp_path: Path, case: str
) -> None:
    whole = weights(trained(case, tasks_jsonl, tmp_path / "whole"))
    for cut in (3, 4):
        with pytest.raises(Cut):
            trained(case, tasks_jsonl, tmp_path / "run", cut=cut, resume=True)
    run = trained(case, tasks_jsonl, tmp_path / "run", resume=True)
    assert {name: value.tolist() for name, value in weights(run).items()} == {
        name: value.tolist() for name, value in whole.items()
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "whole"]


def test_what_was_judged_before_the_end_is_kept(tasks_jsonl: Path, tmp_path: Path) -> None:
    whole = trained("adam", tasks_jsonl, tmp_path / "whole").info.training
    with pytest.raises(Cut):
        trained("adam", tasks_jsonl, tmp_path / "run", cut=5)
    told: list[str] = []
    run = trained("adam", tasks_jsonl, tmp_path / "run", resume=True, say=told.append)
    assert [line for line in told if line.startswith("resuming in epoch ")]
    assert {**run.info.training, "seconds": 0} == {**whole, "seconds": 0}


def test_nothing_to_resume_is_a_beginning_and_a_finished_run_is_left_as_it_is(
    tasks_jsonl: Path, tmp_path: Path
) -> None:
    run = trained("adam", tasks_jsonl, tmp_path / "run", resume=True)
    told: list[str] = []
    again = trained("adam", tasks_jsonl, tmp_path / "run", cut=1, resume=True, say=told.append)
    assert told == [f"{tmp_path / 'run'} is finished; nothing to resume"]
    assert (again.digest, again.info.created) == (run.digest, run.info.created)


def test_an_unfinished_training_is_neither_forgotten_nor_taken_for_another(tasks_jsonl: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Cut):
        trained("adam", tasks_jsonl, out, cut=3)
    with refused(InputError, "LX-TRAIN-004", "run.training", "--resume"):
        trained("adam", tasks_jsonl, out)
    with refused(InputError, "LX-TRAIN-003", "with other settings (seed: was 0, is 7). Use its options"):
        trained("adam", tasks_jsonl, out, resume=True, seed=7)
    trained("adam", tasks_jsonl, out, resume=True)
    assert (out / "run.json").is_file(), "a mistake in the options costs nothing"
    assert not folder_of(out).exists()


@pytest.mark.parametrize(
    ("case", "device", "difference"),
    [
        ("fp16", Device(), ["training optimizer", '"adam"', '"adamw"']),
        ("adam", Device(threads=2), ["threads", "1", "2"]),
    ],
)
def test_the_difference_to_the_training_that_was_begun_is_named(
    tasks_jsonl: Path, tmp_path: Path, case: str, device: Device, difference: list[str]
) -> None:
    with pytest.raises(Cut):
        trained("adam", tasks_jsonl, tmp_path / "run", cut=3)
    with refused(InputError, "LX-TRAIN-003", "checkpoint.safetensors", *difference):
        trained(case, tasks_jsonl, tmp_path / "run", resume=True, device=device)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "schema"])
def test_a_damaged_checkpoint_is_an_error_and_no_beginning(tasks_jsonl: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "run"
    with pytest.raises(Cut):
        trained("adam", tasks_jsonl, out, cut=3)
    [path] = folder_of(out).iterdir()
    content = path.read_bytes()
    changed = {
        "cut": content[: len(content) // 2],
        "flip": bytes([content[0] ^ 255]) + content[1:],
        "empty": b"",
        "schema": content.replace(b'{\\"schema\\": 2', b'{\\"schema\\": 9'),
    }[damage]
    assert changed != content
    path.write_bytes(changed)
    error = (
        ("LX-TRAIN-002", "checkpoint.safetensors", "9", "2") if damage == "schema" else ("LX-TRAIN-001", str(path))
    )
    with refused(InputError, *error, "--force"):
        trained("adam", tasks_jsonl, out, resume=True)


def test_what_a_killed_process_left_half_written_is_cleared_away(tasks_jsonl: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Cut):
        trained("adam", tasks_jsonl, out, cut=3)
    (folder_of(out) / ".checkpoint.safetensors.0123abcd.partial").write_bytes(b"half")
    (tmp_path / ".run.0123abcd.partial").mkdir()
    (tmp_path / ".other.0123abcd.partial").mkdir()
    trained("adam", tasks_jsonl, out, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.0123abcd.partial", "run"]


def test_two_processes_do_not_train_one_run_at_a_time(tasks_jsonl: Path, tmp_path: Path) -> None:
    with (
        checkpoint_folder(tmp_path / "run", resume=False),
        refused(InputError, "LX-TRAIN-006"),
    ):
        trained("adam", tasks_jsonl, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_holds_no_texts_and_no_code(tasks_jsonl: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        trained("sparse-adam", tasks_jsonl, tmp_path / "run", cut=3)
    content = (folder_of(tmp_path / "run") / "checkpoint.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["lexport"]).keys() == {"schema", "identity", "values"}
    assert b"own12" not in content
