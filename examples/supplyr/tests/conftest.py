"""Shared fixtures."""

import pytest
from hypothesis import settings

from supplyr.truth import LabelledSet, TruthUnavailableError, load

# How long an example takes says something of the machine, and here nothing of the code.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


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
