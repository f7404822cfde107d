"""Shared fixtures."""

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from supplyr.truth import LabelledSet, TruthUnavailableError, load

# What lanewise keeps between two programs' runs is kept for this run of the tests alone; servers
# that tests start inherit it.
_FOLDER = tempfile.TemporaryDirectory(prefix="supplyr-tests-")
os.environ["LANEWISE_CACHE_DIR"] = _FOLDER.name

# How long an example takes, or is made in, says something of the machine, and here nothing of the
# code.
settings.register_profile(
    "untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
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
