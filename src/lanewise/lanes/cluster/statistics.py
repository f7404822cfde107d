"""What can be seen of a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """One node at one moment.

    Attributes:
        number: What the lane calls it; never used twice while the cluster is reached.
        name: Its host; ``address`` as the cluster knows it.
        cpus: What its calls may ask for together; ``used`` what they do.
        calls: Calls that it has.
        done: Calls that have ended there.
        bytes_out: What was sent there; ``bytes_in`` what came from there.
    """

    number: int
    name: str
    address: str
    cpus: float
    used: float
    calls: int
    done: int
    bytes_out: int
    bytes_in: int


@dataclass(frozen=True, slots=True)
class ClusterStatistics:
    """The cluster lane at one moment. Nothing in it changes afterwards.

    Attributes:
        nodes: Those that can be used.
        queued: Calls that no node has.
        lost_nodes: Nodes that went while the lane was open; ``lost_calls`` what they took along.
        unavailable: Why calls cannot go there now, or None.
    """

    nodes: tuple[NodeStatistics, ...]
    queued: int
    lost_nodes: int
    lost_calls: int
    unavailable: str | None
