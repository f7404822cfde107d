"""Two sessions side by side: which of their processes are compared."""

from tests.unit.diagnosed import Recording, frame

from lanewise.diagnose.compare import compare_sessions
from lanewise.diagnose.summary import summarise_process


def process(computing, waiting):
    recording = Recording()
    steps = [("python_gil", (frame(),))] * computing + [("gil_wait", (frame(),))] * waiting
    steps += [("io_sleep", (frame("accept"),))] * (200 - len(steps))
    recording.thread(steps)
    return summarise_process(recording.record)


def test_of_followed_servers_the_workers_are_compared_and_not_who_started_them():
    before, after = [process(0, 0), process(60, 100)], [process(2, 0), process(150, 5)]
    changes = {one.what: one for one in compare_sessions(before, after)}
    assert changes["gil_wait"].sense == "better"
    assert changes["gil_wait"].before > 0.4
