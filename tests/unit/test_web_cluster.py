"""What the page and the metrics tell of a cluster's nodes."""

import pytest
from tests.unit.web_statistics import statistics

from lanewise.lanes.cluster import ClusterStatistics, NodeStatistics
from lanewise.web.families import families
from lanewise.web.pages.document import statistics_document, written


def _node(number, name="worker"):
    return NodeStatistics(number, f"{name}-{number}", "10.0.0.2", 4.0, 1.5, 2, 30, 4_000, 500)


def _cluster(nodes=2, unavailable=None, name="worker"):
    made = tuple(_node(number, name) for number in range(nodes))
    return ClusterStatistics(made, 7, 1, 3, unavailable)


def test_the_document_tells_each_node():
    found = statistics_document(statistics(cluster=_cluster()))["cluster"]
    assert found["nodes"][1] == {
        "number": 1,
        "name": "worker-1",
        "address": "10.0.0.2",
        "cpus": 4.0,
        "used": 1.5,
        "calls": 2,
        "done": 30,
        "bytes_out": 4_000,
        "bytes_in": 500,
    }
    assert (found["queued"], found["lost_nodes"], found["lost_calls"]) == (7, 1, 3)
    assert (found["unavailable"], found["nodes_left_out"]) == (None, 0)


def test_the_document_stays_small_however_many_nodes_there_are():
    many = _cluster(5_000, "x" * 10_000, "n" * 10_000)
    document = statistics_document(statistics(cluster=many))
    assert (len(document["cluster"]["nodes"]), document["cluster"]["nodes_left_out"]) == (
        100,
        4_900,
    )
    assert len(written(document)) < 200_000


def test_without_a_cluster_nothing_is_told_of_one():
    snapshot = statistics()
    assert statistics_document(snapshot)["cluster"] is None
    assert not [one for one in families(snapshot, {}) if one.name.startswith("cluster")]


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("cluster_nodes", ((({}), 2),)),
        ("cluster_queued", ((({}), 7),)),
        ("cluster_nodes_lost", ((({}), 1),)),
        ("cluster_bytes", (({"direction": "out"}, 8_000), ({"direction": "in"}, 1_000))),
    ],
)
def test_metrics_tell_nodes_queue_and_bytes(name, samples):
    found = {one.name: one for one in families(statistics(cluster=_cluster()), {})}
    assert found[name].samples == samples
