"""Shared fixtures."""

import pytest

from supplyr.truth import LabelledSet, TruthUnavailableError, load


def _load_or_skip(name: str) -> LabelledSet:
    try:
        return load(name)
    except TruthUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def febrl1() -> LabelledSet:
    return _load_or_skip("febrl1")


@pytest.fixture(scope="session")
def febrl3() -> LabelledSet:
    return _load_or_skip("febrl3")
