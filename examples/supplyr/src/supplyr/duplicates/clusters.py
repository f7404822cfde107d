"""Make groups of records out of pairs of similar ones, for people to review."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from lanewise import task

from supplyr.duplicates.compare import PAIR, compare_segment
from supplyr.duplicates.passes import sort_pass
from supplyr.duplicates.prepare import prepare_page, sample_page

# Similarity is not transitive: over enough steps anything is reached from anything. No group grows
# beyond what a person can look through; the strongest pairs are joined first.
MAX_MEMBERS = 12

Pair3 = tuple[int, int, int]  # lower index, higher index, permille


class Cluster(NamedTuple):
    """Records that look like one supplier.

    `members` are sorted; `permille` of each is its similarity to the most similar other one, and
    `best_permille` the highest of them.
    """

    members: tuple[int, ...]
    permille: tuple[int, ...]
    best_permille: int


def _root(parent: dict[int, int], index: int) -> int:
    while (above := parent.setdefault(index, index)) != index:
        parent[index] = parent[above]
        index = above
    return index


def group(pairs: Iterable[Pair3]) -> list[Cluster]:
    """Join pairs to groups of at most MAX_MEMBERS, strongest first; equal input, equal groups."""
    parent: dict[int, int] = {}
    size: dict[int, int] = {}
    best: dict[int, int] = {}
    for first, second, permille in sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1])):
        one, other = _root(parent, first), _root(parent, second)
        if one != other:
            together = size.get(one, 1) + size.get(other, 1)
            if together > MAX_MEMBERS:
                continue
            parent[max(one, other)] = min(one, other)
            size[min(one, other)] = together
        for index in (first, second):
            best[index] = max(best.get(index, 0), permille)
    return _collected(parent, best)


def _collected(parent: dict[int, int], best: Mapping[int, int]) -> list[Cluster]:
    members: dict[int, list[int]] = {}
    for index in sorted(best):
        members.setdefault(_root(parent, index), []).append(index)
    return [
        Cluster(
            tuple(group),
            tuple(best[index] for index in group),
            max(best[index] for index in group),
        )
        for group in members.values()
    ]


def _found_size(found: Sequence[bytes], *_: object) -> int:
    return sum(len(part) for part in found) // PAIR.itemsize


@lru_cache(maxsize=4)
def _sample_pairs(count: int) -> bytes:
    records = 64
    pairs = b""
    while len(pairs) < count * PAIR.itemsize:
        records *= 2
        prepared = [prepare_page(sample_page(records))]
        pairs = b"".join(compare_segment(part) for part in sort_pass(prepared, 0, records))
    return pairs[: count * PAIR.itemsize]


def _found_inputs(size: int) -> tuple[list[bytes]]:
    return ([_sample_pairs(size)],)


@task(size=_found_size, inputs=_found_inputs, idempotent=True)
def cluster_pairs(found: Sequence[bytes], apart: Sequence[tuple[int, int]] = ()) -> bytes:
    """Return the clusters of what compare_segment found; see clusters_of.

    A pair that several passes found counts once, one of `apart` (lower index first) not at all.
    """
    pairs: list[Pair3] = np.unique(np.frombuffer(b"".join(found), dtype=PAIR)).tolist()
    if apart:
        different = {(first, second) for first, second in apart}
        pairs = [pair for pair in pairs if (pair[0], pair[1]) not in different]
    return json.dumps(group(pairs), separators=(",", ":")).encode()


def clusters_of(encoded: bytes) -> list[Cluster]:
    """Decode what cluster_pairs returned."""
    return [
        Cluster(tuple(members), tuple(permille), best)
        for members, permille, best in json.loads(encoded)
    ]
