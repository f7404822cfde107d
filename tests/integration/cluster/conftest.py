"""Tests of the cluster lane, over a real Ray on this machine; without Ray they are skipped."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

HAS_RAY = importlib.util.find_spec("ray") is not None


def pytest_collection_modifyitems(items):
    missing = pytest.mark.skip(reason="Ray is not installed: make cluster does it")
    for item in items:
        if Path(__file__).parent in item.path.parents and not HAS_RAY:
            item.add_marker(missing)


@pytest.fixture(scope="session")
def ray_cluster():
    """One cluster of one node with two CPUs for all tests that do not harm it."""
    from ray_cluster import RayCluster  # noqa: PLC0415 - because: found by way of the path above

    with RayCluster(cpus=2) as cluster:
        yield cluster
