"""`lanewise.watch()`: from inside, always on."""

import asyncio
import sys
import threading
import time

import pytest

import lanewise


async def test_a_stalled_loop_is_told_with_the_line():
    stalls = asyncio.Queue()
    with lanewise.watch(stall_s=0.05, on_stall=stalls.put_nowait) as health:
        async with asyncio.timeout(60):
            stall = None
            # The first one may come before the heartbeat is under way, and a busy machine makes others.
            while stall is None or stall.duration_s <= 0.2:
                time.sleep(0.3)  # noqa: ASYNC251 - because: this is the stall
                await asyncio.sleep(0)
                if not stalls.empty():
                    stall = stalls.get_nowait()
    assert stall.duration_s > 0.2
    found = health.statistics()
    assert found.loop.stalls >= 1
    assert found.loop.max_s > 0.2


def test_without_a_loop_threads_are_told_of():
    with lanewise.watch() as health:
        assert health.statistics().loop is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's counters")
def test_a_thread_that_computes_is_told_by_its_name():
    stop = threading.Event()

    def burn():
        while not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=burn, name="burner")
    with lanewise.watch() as health:
        thread.start()
        try:
            give_up_s = time.monotonic() + 60
            while time.monotonic() < give_up_s:
                uses = {one.name: one for one in health.statistics().threads}
                if "burner" in uses and uses["burner"].running > 0:
                    break
        finally:
            stop.set()
            thread.join()
    assert uses["burner"].running > 0
    for one in uses.values():
        assert one.running + one.queued + one.asleep == pytest.approx(1.0)


def test_what_was_seen_stays_when_it_ends():
    health = lanewise.watch(let_diagnose_in=True)
    health.stop()
    health.stop()
    assert health.statistics() is health.statistics()


async def test_a_stall_must_have_a_length():
    with pytest.raises(ValueError, match="stall_s"):
        lanewise.watch(stall_s=0)
