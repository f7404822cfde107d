"""The full duplicate run finds exactly what the plain rule finds, and groups it sensibly."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanewise import Runtime

from supplyr.candidates import PASSES, prepare
from supplyr.dedupe import score_pairs, score_pairs_rapidfuzz
from supplyr.duplicates.clusters import MAX_MEMBERS, Cluster, cluster_pairs, clusters_of, group
from supplyr.duplicates.compare import PAIR, compare_segment, pairs_of
from supplyr.duplicates.letters import bound_columns
from supplyr.duplicates.passes import sort_pass
from supplyr.duplicates.prepare import column_of, encode_page, prepare_page
from supplyr.generate import generate
from supplyr.jobs.background import Background
from supplyr.jobs.full_run import Stage, find_clusters
from supplyr.records import Supplier
from supplyr.similarity import similarity_permille
from supplyr.truth import LabelledSet, evaluate

# Plain Python over thousands of records takes its time on a machine that is busy.
pytestmark = pytest.mark.timeout(600)


def pages_of(records: Sequence[Supplier], rows: int) -> list[bytes]:
    columns = [(one.name, one.street, one.city, one.postcode, one.address_extra) for one in records]
    return [encode_page(columns[at : at + rows]) for at in range(0, len(columns), rows)]


def found_in(
    records: Sequence[Supplier], threshold: float, rows: int = 700
) -> dict[tuple[int, int], int]:
    prepared = [prepare_page(page) for page in pages_of(records, rows)]
    return {
        (first, second): permille
        for number in range(PASSES)
        for segment in sort_pass(prepared, number, len(records))
        for first, second, permille in pairs_of(compare_segment(segment, threshold))
    }


@pytest.mark.parametrize(("count", "threshold"), [(300, 0.83), (3000, 0.83), (1200, 0.615)])
def test_finds_what_the_plain_rule_finds(count: int, threshold: float) -> None:
    records = generate(count).records
    assert found_in(records, threshold) == score_pairs_rapidfuzz(records, round(1000 * threshold))


def test_finds_what_plain_python_finds_over_segments_and_pages() -> None:
    records = generate(9000, seed=7).records  # more than one segment
    assert found_in(records, 0.9) == score_pairs(records, 900)


_texts = st.text("abc1 é漢-", max_size=12)
_records = st.builds(
    lambda name, street, city, postcode: generate(1)
    .records[0]
    ._replace(name=name, street=street, city=city, postcode=postcode, address_extra=""),
    _texts, _texts, _texts, _texts,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(_records, max_size=30), st.sampled_from([100, 500, 830]))
def test_finds_what_the_plain_rule_finds_in_anything(
    records: list[Supplier], permille: int
) -> None:
    assert found_in(records, permille / 1000, rows=7) == score_pairs(records, permille)


@given(st.lists(_records, min_size=1, max_size=20))
def test_pages_are_prepared_as_single_records_are(records: list[Supplier]) -> None:
    (page,) = pages_of(records, 50)
    assert column_of(prepare_page(page), 0) == prepare(records).texts


@given(
    st.lists(st.text("aab1漢語é", min_size=1, max_size=300), min_size=2, max_size=8),
    st.integers(100, 1000),
)
def test_no_similar_pair_is_below_the_bound(texts: list[str], permille: int) -> None:
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    left, right = bound_columns(texts, lengths, permille)
    possible = left.T @ right > 0
    for one, first in enumerate(texts):
        for other, second in enumerate(texts):
            assert possible[one, other] or similarity_permille(first, second) < permille


_pairs = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 1000)).filter(
        lambda pair: pair[0] < pair[1]
    ),
    max_size=120,
)


@given(_pairs)
def test_groups_are_apart_bounded_and_made_of_pairs(pairs: list[tuple[int, int, int]]) -> None:
    clusters = group(pairs)
    members = [member for cluster in clusters for member in cluster.members]
    assert len(members) == len(set(members))
    neighbours = {(a, b) for a, b, _ in pairs} | {(b, a) for a, b, _ in pairs}
    for cluster in clusters:
        assert 2 <= len(cluster.members) <= MAX_MEMBERS
        assert cluster.members == tuple(sorted(cluster.members))
        assert cluster.best_permille == max(cluster.permille)
        for member in cluster.members:
            assert any((member, other) in neighbours for other in cluster.members)


@given(_pairs, st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_pairs(
    pairs: list[tuple[int, int, int]], random: Random
) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert group(shuffled) == group(pairs)


def test_the_strongest_of_a_long_chain_stay_together() -> None:
    chain = [(at, at + 1, 900 + at) for at in range(30)]
    clusters = group(chain)
    assert clusters[-1].members[-2:] == (29, 30)
    assert sum(len(cluster.members) for cluster in clusters) >= 30


def test_a_pair_that_several_passes_found_counts_once() -> None:
    pair = np.array([(3, 9, 950)], dtype=PAIR).tobytes()
    (cluster,) = clusters_of(cluster_pairs([pair, pair, b""]))
    assert cluster.members == (3, 9)


def test_quality_on_published_truth(febrl1: LabelledSet, febrl3: LabelledSet) -> None:
    """The threshold is the one that febrl1 chooses (see supplyr.evaluate), names and addresses."""
    pairs = found_in(febrl3.records, 0.615, rows=2000)
    assert evaluate(pairs, febrl3.true_pairs).f1 >= 0.98
    assert evaluate(found_in(febrl1.records, 0.615), febrl1.true_pairs).f1 >= 0.98


def test_the_run_over_a_runtime_groups_the_same_pairs() -> None:
    records = generate(1500).records
    reported: list[str] = []

    async def pages() -> AsyncIterator[bytes]:
        for page in pages_of(records, 400):
            yield page

    async def run() -> list[Cluster]:
        async with Runtime(processes=2) as runtime:

            async def report(stage: Stage) -> None:
                reported.append(stage.what)

            return await find_clusters(Background(runtime), pages(), 0.83, report)

    pairs = [(a, b, permille) for (a, b), permille in score_pairs_rapidfuzz(records, 830).items()]
    assert asyncio.run(run()) == group(pairs)
    assert reported.count("reading") == 4
    assert reported.count("comparing") == PASSES
