"""Makes recordings by hand: what each thread did, moment by moment."""

from lanewise.diagnose.session import Frame, ProcessRecord, Session, ThreadRecord
from lanewise.diagnose.states import Look

STEP_US = 5_000
USER = "/srv/shop/app/views.py"
LOOP = "/usr/lib/python3.13/asyncio/base_events.py"
EVENTS = "/usr/lib/python3.13/asyncio/events.py"
SELECT = "/usr/lib/python3.13/selectors.py"
COMPUTING = ("python_gil", "native_gil", "native_free")


def frame(name="work", line=10, file=USER, first_line=1):
    return Frame(file, line, name, name, first_line)


IDLE = (frame("select", 1, SELECT), frame("_run_once", 2, LOOP), frame("run_forever", 3, LOOP))


def callback(*frames):
    """A stack of a loop that runs these, innermost first."""
    run = frame("_run", 4, EVENTS)
    return (*frames, run, *IDLE[1:])


class Recording:
    """A process whose threads do one thing each per step of 5 ms."""

    def __init__(self, **facts):
        self.record = ProcessRecord(
            **{
                "pid": 100,
                "command": "python app.py",
                "python_version": "3.13.0",
                "source": "debug-offsets",
                "cores": 2,
                "switch_interval_s": 0.005,
                "root": "/srv/shop",
                **facts,
            }
        )
        self._numbers = {}

    def thread(self, steps, name=""):
        """Add a thread; each step is (state, frames innermost first) and what else differs of its look.

        ``queued=True`` makes the counters say that it waited for a core in that step.
        """
        record = self.record
        index = len(record.threads)
        run_ns = queued_ns = 0
        for at, (state, frames, *more) in enumerate(steps):
            differs = dict(*more)
            queued, call = differs.pop("queued", False), differs.pop("call", "running")
            look = Look(
                start_us=at * STEP_US,
                end_us=at * STEP_US,
                moments=1,
                thread=index,
                state=state,
                runnable=state in COMPUTING,
                on_core=int(state in COMPUTING and not queued),
                holds=state in {"python_gil", "native_gil"},
                collecting=False,
                stack=self._number(
                    record.stacks, tuple(self._number(record.frames, one) for one in frames)
                ),
                call=self._number(record.calls, call),
                run_ns=0,
                queued_ns=0,
                holder=-1,
                turn_us=0,
            )._replace(**differs)
            if look.runnable:
                run_ns += 0 if queued else STEP_US * 1000
                queued_ns += STEP_US * 1000 if queued else 0
            record.looks.append(look._replace(run_ns=run_ns, queued_ns=queued_ns))
        end_us = len(steps) * STEP_US
        record.threads.append(ThreadRecord(100 + index, name, True, 0, end_us, run_ns, queued_ns))
        record.end_us = max(record.end_us, end_us)
        return index

    def _number(self, values, value):
        key = (id(values), value)
        if key not in self._numbers:
            self._numbers[key] = len(values)
            values.append(value)
        return self._numbers[key]


def session(*recordings):
    return Session(
        created_at="2026-01-01T00:00:00+00:00",
        lanewise_version="1",
        command=["python", "app.py"],
        host={},
        rate_hz=200.0,
        processes=[one.record for one in recordings],
    )
