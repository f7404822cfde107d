"""The cluster lane passes the contract that is asked of every lane."""

import pytest

from lanewise.lanes.cluster import ClusterLane
from lanewise.testing import LaneContract

pytestmark = pytest.mark.timeout(120)


class TestClusterLane(LaneContract):
    shares_memory = False
    stops_calls = True
    survives_crashes = True

    @pytest.fixture(autouse=True)
    def _cluster(self, ray_cluster):
        self.address = ray_cluster.address

    def make_lane(self, workers):
        return ClusterLane(self.address, cpus=workers)
