"""Whatever the new words are, the old rows stay as they are, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.models.run import Run
from lexport.training.expansion.expand import expand

from .cases import WORDS, table, words_file

KNOWN = st.sampled_from(WORDS)
ENDS = st.text(min_size=1, max_size=3)
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
LINES = st.lists(ANY | st.builds(str.__add__, KNOWN, ENDS) | st.builds(str.__add__, ENDS, KNOWN), max_size=12)


@pytest.mark.parametrize("kind", ["subwords", "dynamic", "languages"])
@settings(max_examples=25)
@given(data=st.data())
def test_old_rows_keep_every_bit(
    kind: str, data: st.DataObject, run_of: Callable[[str], Run], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = run_of(kind)
    spec, known = run.encoder.spec, run.encoder.vocabulary
    language = data.draw(st.sampled_from(run.encoder.languages)) if run.encoder.languages else None
    rows = [*spec.languages.values()] or [spec.words - 1]
    number = run.encoder.language_number(language)
    place = 1 + sum(rows[: number + 1])
    own = known[place - number - 1 - rows[number] : place - number - 2]
    new = [word for text in data.draw(LINES) for word in run.encoder.tokens(text)[0]]
    new = [word for word in dict.fromkeys(["keeper", *new]) if word not in own]

    folder = tmp_path_factory.mktemp("any")
    grown = expand(run.folder, folder / "out", words=words_file(folder / "words.txt", *new), language=language)
    before, after = table(run).numpy(), table(grown).numpy()
    assert len(after) == len(before) + len(new)
    assert after[:place].tobytes() == before[:place].tobytes()
    assert after[place + len(new) :].tobytes() == before[place:].tobytes()
    assert grown.encoder.look_up(new, language and [language] * len(new)).unknown.sum() == 0
