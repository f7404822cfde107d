"""The front door of a lane: every order of arrivals, ends, cancellations and timeouts."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lanewise.model.lane import PRIORITIES
from lanewise.runtime.waiting_room import WHOLE, Serve, Ticket, WaitingRoom

TASKS = ("a", "b", "c")


class RoomMachine(RuleBasedStateMachine):
    @initialize(
        places=st.integers(1, 3),
        capacity=st.integers(1, 5),
        timeout_s=st.none() | st.sampled_from((0.5, 3.0)),
    )
    def begin(self, places, capacity, timeout_s):
        self.room = WaitingRoom(places, capacity, timeout_s)
        self.places, self.capacity = min(places, capacity), capacity
        self.timeout_s = timeout_s
        self.now = 0.0
        self.state = {}  # ticket -> "waiting" | "served" | how it ended
        self.arrivals = []

    def do(self, instructions):
        for one in instructions:
            assert self.state[one.ticket] == "waiting"
            if isinstance(one, Serve):
                self.state[one.ticket] = "served"
                deadline = one.ticket.deadline_s
                assert deadline is None or one.ticket.arrived_s == self.now or self.now < deadline
                self.check_order(one.ticket)
            else:
                assert one.retry_after_s > 0
                self.state[one.ticket] = one.reason

    def check_order(self, served):
        """Nobody of a higher class is left waiting while this one goes."""
        ranks = [
            PRIORITIES.index(ticket.priority)
            for ticket in self.of("waiting")
            if ticket is not served and ticket.state == "waiting"
        ]
        assert not ranks or min(ranks) >= PRIORITIES.index(served.priority)

    def of(self, state):
        return [ticket for ticket, now in self.state.items() if now == state]

    @rule(
        task=st.sampled_from(TASKS),
        priority=st.sampled_from(PRIORITIES),
        parts=st.sampled_from((1, WHOLE // 2, WHOLE)),
        expected_s=st.none() | st.sampled_from((0.0, 0.1, 5.0)),
        left_s=st.none() | st.sampled_from((0.05, 2.0)),
    )
    def arrive(self, task, priority, parts, expected_s, left_s):
        deadline = None if left_s is None else self.now + left_s
        ticket = Ticket(task, self.now, priority, parts, expected_s, deadline)
        self.state[ticket] = "waiting"
        self.do(self.room.arrive(ticket, self.now))

    @rule(after_s=st.sampled_from((0.0, 0.01, 0.3, 2.0, 10.0)))
    def time_passes(self, after_s):
        self.now += after_s

    @precondition(lambda self: self.of("served"))
    @rule(data=st.data(), counts=st.booleans())
    def leave(self, data, counts):
        ticket = data.draw(st.sampled_from(self.of("served")))
        self.state[ticket] = "over"
        self.do(self.room.leave(ticket, self.now, counts=counts))

    @precondition(lambda self: self.of("waiting"))
    @rule(data=st.data())
    def cancel(self, data):
        ticket = data.draw(st.sampled_from(self.of("waiting")))
        self.state[ticket] = "over"
        self.do(self.room.cancel(ticket, self.now))

    @precondition(lambda self: self.of("waiting") and self.timeout_s is not None)
    @rule(data=st.data())
    def expire(self, data):
        ticket = data.draw(st.sampled_from(self.of("waiting")))
        self.do(self.room.expire(ticket, self.now))
        assert self.state[ticket] == "queue_timeout"

    @rule(data=st.data())
    def late_news_changes_nothing(self, data):
        over = [ticket for ticket in self.state if ticket.state == "over"]
        if over:
            ticket = data.draw(st.sampled_from(over))
            assert self.room.cancel(ticket, self.now) == []
            assert self.room.expire(ticket, self.now) == []

    @invariant()
    def counts_agree(self):
        if not hasattr(self, "room"):
            return
        served, waiting = self.of("served"), self.of("waiting")
        assert self.room.serving == len(served)
        assert self.room.waiting == len(waiting)
        assert sum(ticket.parts for ticket in served) <= self.places * WHOLE
        assert all(ticket.state == "served" for ticket in served)
        if self.timeout_s is not None:
            assert len(served) + len(waiting) <= max(2 * self.capacity, self.places * WHOLE)

    @invariant()
    def nobody_waits_for_nothing(self):
        if hasattr(self, "room") and not self.of("served"):
            assert not self.of("waiting")

    @invariant()
    def estimates_make_sense(self):
        if not hasattr(self, "room"):
            return
        for task in TASKS:
            for priority in PRIORITIES:
                wait_s = self.room.expected_wait_s(task, priority)
                assert wait_s is None or wait_s >= -1e-9
        if not self.of("waiting") and not self.of("served"):
            assert self.room.expected_wait_s() == 0.0

    def teardown(self):
        if hasattr(self, "room"):
            for ticket in self.room.end():
                self.state[ticket] = "over"
            assert not self.of("waiting")


TestWaitingRoom = RoomMachine.TestCase
TestWaitingRoom.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
