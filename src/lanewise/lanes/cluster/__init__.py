"""Calls past this machine: a lane over the nodes of a Ray cluster.

``lane.py`` is what a runtime opens. ``placement.py`` decides which node gets which call, and does nothing
else; ``crew.py`` carries that out, over ``link.py`` to a gateway: a process of its own, the only one here
that imports Ray (``gateway.py``, ``private.py``). On each node runs an actor (``agent.py``,
``node_calls.py``) with a process lane. Gateway and agent speak through calls of the actor
(``exchanges.py``), or through a socket where both are on one machine (``line.py``).
"""

from lanewise.lanes.cluster.lane import ClusterLane
from lanewise.lanes.cluster.statistics import ClusterStatistics, NodeStatistics

__all__ = ["ClusterLane", "ClusterStatistics", "NodeStatistics"]
