"""The head `tree`: a probability for each label that is the product of the choices on its way."""

from __future__ import annotations

import pytest
import torch

from lexport.models.heads import Tree, TreeOptions
from lexport.models.heads.tree import steps_of


@pytest.mark.parametrize("labels", [2, 3, 7, 100])
def test_the_probabilities_of_all_labels_sum_to_one(labels: int) -> None:
    torch.manual_seed(0)
    found = Tree(5, labels, TreeOptions())(torch.randn(4, 5))
    assert found.shape == (4, labels)
    assert torch.allclose(found.sum(dim=1), torch.ones(4), atol=1e-6)


def test_one_label_makes_no_tree() -> None:
    with pytest.raises(ValueError, match="two labels or more, not 1"):
        Tree(5, 1, TreeOptions())


def test_several_labels_at_once_are_not_for_a_tree() -> None:
    with pytest.raises(ValueError, match="one label of several"):
        TreeOptions(multi_label=True)


def test_a_way_beyond_the_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="33 nodes deep"):
        steps_of([[(node, True) for node in range(33)]], 40)


def test_the_loss_is_that_of_the_probabilities_and_falls_by_training() -> None:
    torch.manual_seed(0)
    head, vectors, truth = Tree(6, 5, TreeOptions()), torch.randn(40, 6), torch.arange(40) % 5
    outputs = head(vectors)
    expected = -outputs[torch.arange(40), truth].log().mean()
    assert torch.allclose(head.loss(outputs, truth, None, None), expected, atol=1e-6)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        head.loss(head(vectors), truth, None, None).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert head.loss(head(vectors), truth, None, None) < expected
