"""The cluster lane passes the contract that is asked of every lane."""

import pytest

from lanewise.lanes.cluster import ClusterLane
from lanewise.testing import LaneContract

pytestmark = pytest.mark.timeout(120)


class TestClusterLane(LaneContract):
    shares_memory = False
    stops_calls = True
    survives_crashes = True
    # Each opens a lane of its own: a gateway, an actor and its workers begin, which import Ray.
    patience_s = 110.0

    @pytest.fixture(autouse=True)
    def _cluster(self, ray_cluster):
        self.address = ray_cluster.address

    def make_lane(self, workers):
        return ClusterLane(self.address, cpus=workers)
