"""Orders of events in the pool that chance finds too seldom."""

from lanewise.lanes.process.pool import SHORT_S, Call, Kill, Lost, Pool, Recall, Send, Worker


def with_short_calls(workers=1):
    """A pool in which calls of ``f`` are known to be short, and its first worker."""
    pool = Pool(workers)
    pool.open()
    worker = Worker()
    pool.ready(worker, 0.0)
    first = Call("f")
    pool.submit(first)
    pool.finished(worker, first.seq, SHORT_S / 10, 0.0)
    return pool, worker


def sent(pool, *calls):
    """Submit calls and hand all out that can be."""
    instructions = []
    for call in calls:
        instructions += pool.submit(call)
    return [one for one in [*instructions, *pool.dispatch()] if isinstance(one, Send)]


def test_a_cancelled_call_that_began_behind_an_unread_result_is_stopped():
    pool, worker = with_short_calls()
    done, unwanted = Call("f"), Call("f")
    sent(pool, done, unwanted)
    (recall,) = pool.cancel(unwanted)
    assert isinstance(recall, Recall)
    # By now the first has ended, which was not read yet, and the second has begun.
    assert Kill(worker) in pool.looked(worker, unwanted.seq, 1.0)


def test_an_abandoned_call_is_not_killed_for_those_behind_it():
    pool, worker = with_short_calls()
    spared, behind = Call("f"), Call("f")
    sent(pool, spared, behind)
    assert pool.abandon(spared)
    pool.tick()
    assert isinstance(pool.tick()[0], Recall)
    instructions = pool.looked(worker, spared.seq, 1.0)
    assert not [one for one in instructions if isinstance(one, Kill)]
    assert behind.state == "queued"


def test_a_call_before_which_worker_after_worker_dies_is_given_up():
    pool, worker = with_short_calls()
    call = Call("g")
    sent(pool, call)
    for _ in range(20):
        instructions = pool.died(worker, begun_seq=0)
        if any(isinstance(one, Lost) for one in instructions):
            break
        worker = Worker()
        pool.ready(worker, 0.0)
    else:
        raise AssertionError("it would be sent for ever")
    assert call.state == "over"


def test_nothing_is_started_after_the_end():
    pool, worker = with_short_calls()
    call, behind = Call("f"), Call("f")
    sent(pool, call, behind)
    pool.end()
    assert not any(type(one).__name__ == "Start" for one in pool.died(worker, call.seq))
    assert pool.drop_waiting() == [behind]


def test_a_long_call_that_waits_is_handed_out_when_its_worker_is_idle():
    pool, worker = with_short_calls()
    first, long_one = Call("f"), Call("unknown")
    sent(pool, first)
    pool.submit(long_one)
    assert not pool.is_urgent(worker)
    pool.finished(worker, first.seq, SHORT_S / 10, 0.0)
    assert pool.is_urgent(worker)
