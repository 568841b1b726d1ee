"""The tree of labels that fastText's hierarchical softmax has: Huffman's, of how many training texts have each."""

from __future__ import annotations

from collections.abc import Sequence

# What a node counts that has nothing below it yet: more than any label.
_NONE = 10**15


def huffman_ways(counts: Sequence[int]) -> list[list[tuple[int, bool]]]:
    """Return for each label the inner nodes above it, from the lowest, and whether it stands to the right of each.

    `counts` must fall, as fastText sorts its labels; among equals the tree depends on their order, so that it is
    built as fastText's own program builds it: two queues, the labels from the rarest and the inner nodes in the order
    in which they were made.
    """
    labels = len(counts)
    total = [*counts, *[_NONE] * (labels - 1)]
    parents, rights = [-1] * len(total), [False] * len(total)
    leaf, inner = labels - 1, labels
    for node in range(labels, len(total)):
        pair = []
        for _ in range(2):
            if leaf >= 0 and total[leaf] < total[inner]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(inner)
                inner += 1
        total[node] = total[pair[0]] + total[pair[1]]
        parents[pair[0]] = parents[pair[1]] = node
        rights[pair[1]] = True
    ways = []
    for label in range(labels):
        way, node = [], label
        while parents[node] >= 0:
            way.append((parents[node] - labels, rights[node]))
            node = parents[node]
        ways.append(way)
    return ways
