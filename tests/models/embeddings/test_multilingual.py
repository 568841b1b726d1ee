from __future__ import annotations

import pytest
import torch

from lexport.export.formats.tables import GatherTable, exported
from lexport.models.embeddings import Multilingual, MultilingualOptions

from .embedding_cases import OFFSETS, SIZES, multilingual, scripted


def test_every_row_but_pad_belongs_to_exactly_one_index_of_one_language() -> None:
    cells = [(index, language) for language, size in enumerate(SIZES) for index in range(1, size + 1)]
    indices, languages = torch.tensor([cells]).unbind(dim=2)
    assert multilingual().rows_of(indices, languages).tolist() == [list(range(1, 30))]


def test_pad_is_everyones() -> None:
    zeros = torch.zeros(1, 4, dtype=torch.int64)
    assert multilingual().rows_of(zeros, torch.arange(4).unsqueeze(0)).tolist() == [[0, 0, 0, 0]]


def test_a_language_is_given_a_text_or_a_token() -> None:
    indices = torch.tensor([[1, 2, 0], [1, 3, 3]])
    a_text = multilingual().rows_of(indices, torch.tensor([0, 2]))
    a_token = multilingual().rows_of(indices, torch.tensor([[0, 0, 0], [2, 2, 2]]))
    assert a_text.tolist() == a_token.tolist() == [[1, 2, 0], [14, 16, 16]]


@pytest.mark.parametrize("language", [4, 77])
def test_an_unknown_language_is_named_with_how_many_there_are(language: int) -> None:
    with pytest.raises(IndexError, match=rf"language number {language} is beyond the 4 there are; the last is 3"):
        multilingual().vectors(torch.tensor([[[1, language]]]))


@pytest.mark.parametrize(("language", "last"), list(enumerate(SIZES)))
def test_an_index_never_reaches_into_the_next_language(language: int, last: int) -> None:
    inside, beyond = torch.tensor([[[last, language]]]), torch.tensor([[[last + 1, language]]])
    multilingual().vectors(inside)
    message = (
        rf"^index {last + 1} of language number {language} is beyond its last; there are {last + 1}, 0 to {last}\.$"
    )
    with pytest.raises(IndexError, match=message):
        multilingual().vectors(beyond)


def test_a_negative_index_is_named_with_the_size_of_its_language() -> None:
    with pytest.raises(IndexError, match=r"^index -7 of language number 1 is negative; there are 9, 0 to 8\.$"):
        multilingual().vectors(torch.tensor([[[2, 0], [-7, 1]]]))


@pytest.mark.parametrize("out_of_range", ["error", "unk"])
def test_an_index_that_is_no_integer_is_named_with_the_largest_size_there_is(out_of_range: str) -> None:
    message = r"^index 2\.5 must be int64 or int32, not torch\.float32; there are 11, 0 to 10\.$"
    with pytest.raises(TypeError, match=message):
        multilingual(out_of_range=out_of_range).rows_of(torch.tensor([[2.5]]), torch.tensor([1]))


def test_an_index_beyond_its_language_is_that_languages_unk_where_so_chosen() -> None:
    embedding = multilingual(out_of_range="unk").eval()
    ids, known = torch.tensor([[[9, 1], [-2, 2], [8, 1], [0, 0]]]), torch.tensor([[[1, 1], [1, 2], [8, 1], [0, 0]]])
    form = exported(embedding, GatherTable)
    for vectors in (embedding.vectors(ids), form.vectors(ids), scripted(form)(ids)[0]):
        assert (vectors == embedding.vectors(known)).all()


def test_offsets_are_saved_with_the_weights() -> None:
    assert multilingual().state_dict()["offsets"].tolist() == list(OFFSETS)


@pytest.mark.parametrize(
    "offsets",
    [[], [0], [1, 19], [0, 5], [0, 5, 5, 19], [0, 19, 5]],
)
def test_offsets_that_fit_no_table_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match=r"offsets \[.*\] do not fit a table of 30 rows, 20 of them words"):
        Multilingual(offsets, 30, 20, MultilingualOptions(4))


def test_an_unknown_way_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match='out_of_range is "clip"'):
        MultilingualOptions(out_of_range="clip")
