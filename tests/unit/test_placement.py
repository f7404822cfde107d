"""Which node gets which call."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lanewise.lanes.cluster.placement import LEAST_PART, Call, Lost, Placement, Send, Stop, Unfit


def _sent(instructions):
    return [(one.call, one.node.number) for one in instructions if isinstance(one, Send)]


def test_a_call_goes_to_the_node_that_has_less_to_do():
    placement = Placement()
    placement.node_up(1, 2, 100)
    placement.node_up(2, 4, 100)
    numbers = [_sent(placement.submit(Call("f")))[0][1] for _ in range(6)]
    assert sorted(numbers) == [1, 1, 2, 2, 2, 2]
    assert _sent(placement.submit(Call("f"))) == []


def test_what_waits_is_sent_when_a_call_ends_and_when_a_node_comes():
    placement = Placement()
    placement.node_up(1, 1, 100)
    first, second, third = Call("f"), Call("f"), Call("f")
    for call in (first, second, third):
        placement.submit(call)
    assert _sent(placement.ended(first)) == [(second, 1)]
    assert _sent(placement.node_up(2, 1, 100)) == [(third, 2)]


def test_short_calls_are_sent_ahead_and_long_ones_are_not():
    placement = Placement()
    placement.node_up(1, 2, 100)
    for function, seconds in (("short", 0.000_1), ("long", 1.0)):
        call = Call(function)
        placement.submit(call)
        placement.ended(call, seconds)
    short = [Call("short") for _ in range(200)]
    assert sum(bool(_sent(placement.submit(call))) for call in short) == round(2 / LEAST_PART)
    for call in short:
        placement.ended(call, 0.000_1)
    assert sum(bool(_sent(placement.submit(Call("long")))) for _ in range(5)) == 2


def test_a_lost_node_takes_its_calls_along_but_for_idempotent_ones():
    placement = Placement()
    placement.node_up(1, 2, 100)
    plain, again = Call("f"), Call("g", idempotent=True)
    placement.submit(plain)
    placement.submit(again)
    instructions = placement.node_down(1)
    assert [one.call for one in instructions if isinstance(one, Lost)] == [plain]
    assert placement.queued == (again,)
    assert _sent(placement.node_up(2, 2, 100)) == [(again, 2)]
    assert placement.node_down(1) == []


def test_an_idempotent_call_is_not_started_for_ever():
    placement = Placement()
    call = Call("f", idempotent=True)
    placement.node_up(0, 1, 100)
    placement.submit(call)
    lost = []
    for number in range(1, 5):
        lost += placement.node_down(number - 1)
        placement.node_up(number, 1, 100)
    assert [one.call for one in lost if isinstance(one, Lost)] == [call]
    assert call.attempts == 3


def test_a_call_that_waits_can_be_taken_back_and_one_that_runs_keeps_its_place():
    placement = Placement()
    placement.node_up(1, 1, 100)
    running, waiting = Call("f"), Call("f")
    placement.submit(running)
    placement.submit(waiting)
    assert placement.cancel(waiting) == []
    assert waiting.state == "over"
    assert placement.cancel(running) == [Stop(running, placement.nodes[1])]
    assert _sent(placement.submit(Call("f"))) == []
    assert placement.cancel(running) == [Stop(running, placement.nodes[1])]
    assert len(_sent(placement.ended(running))) == 1


def test_small_calls_pass_a_large_one_but_not_for_ever():
    placement = Placement()
    placement.node_up(1, 4, 100)
    runs = Call("small")
    placement.submit(runs)
    large = Call("large", cpus=4)
    placement.submit(large)
    passed = 0
    for _ in range(200):
        call = Call("small")
        if not _sent(placement.submit(call)):
            break
        passed += 1
        placement.ended(call)
    assert 0 < passed < 200
    assert (large, 1) in _sent(placement.ended(runs))


def test_memory_is_kept_free_for_calls_that_ask_for_it():
    placement = Placement()
    placement.node_up(1, 4, 100)
    assert len(_sent(placement.submit(Call("f", memory_bytes=60)))) == 1
    assert _sent(placement.submit(Call("f", memory_bytes=60))) == []
    assert not placement.could_run(Call("f", memory_bytes=101))
    assert not placement.could_run(Call("f", cpus=5))
    assert placement.could_run(Call("f", cpus=4, memory_bytes=100))


def test_what_no_node_that_is_left_could_run_does_not_keep_others_waiting():
    placement = Placement()
    placement.node_up(1, 1, 100)
    placement.node_up(2, 4, 100)
    first, second = Call("small"), Call("small")
    placement.submit(first)
    placement.submit(second)
    large = Call("large", cpus=4)
    placement.submit(large)
    behind = Call("small")
    instructions = placement.node_down(2)
    assert Unfit(large) in instructions
    assert large.state == "over"
    for _ in range(200):
        placement.submit(behind)
        for call in (first, second):
            placement.ended(call)
        assert behind.state == "sent"
        placement.ended(behind)
        behind = Call("small")


def test_an_idempotent_call_that_fits_nowhere_any_more_does_not_wait():
    placement = Placement()
    placement.node_up(1, 1, 100)
    placement.node_up(2, 4, 100)
    large = Call("large", cpus=4, idempotent=True)
    placement.submit(large)
    assert placement.node_down(2) == [Unfit(large)]


def test_where_no_node_is_left_what_waits_goes_on_waiting():
    placement = Placement()
    placement.node_up(1, 1, 100)
    running, waiting = Call("f"), Call("f")
    placement.submit(running)
    placement.submit(waiting)
    placement.node_down(1)
    assert placement.queued == (waiting,)


def test_nodes_that_go_together_get_nothing_of_each_other():
    placement = Placement()
    for number in range(5):
        placement.node_up(number, 1, 100)
    call = Call("f", idempotent=True)
    placement.submit(call)
    assert placement.nodes_down(range(5)) == []
    assert (placement.queued, call.attempts) == ((call,), 1)


@pytest.mark.parametrize("gone", [True, False])
def test_what_waits_can_be_given_up(gone):
    placement = Placement()
    if not gone:
        placement.node_up(1, 1, 100)
        placement.submit(Call("f"))
    waiting = Call("f")
    placement.submit(waiting)
    assert placement.give_up() == [waiting]
    assert (placement.waiting, waiting.state) == (0, "over")


class AnyOrder(RuleBasedStateMachine):
    """Events in any order: nothing is sent twice, nothing is lost, and no node gets too much."""

    def __init__(self):
        super().__init__()
        self.placement = Placement()
        self.numbers = 0
        self.calls = []
        self.sent = {}
        self.over = set()

    def _do(self, instructions):
        for one in instructions:
            if isinstance(one, Send):
                assert one.call not in self.over
                self.sent[one.call] = self.sent.get(one.call, 0) + 1
            elif isinstance(one, Lost | Unfit):
                assert one.call.state == "over"
                self.over.add(one.call)

    @rule(cpus=st.integers(1, 4))
    def node_up(self, cpus):
        self.numbers += 1
        self._do(self.placement.node_up(self.numbers, cpus, 100))

    @precondition(lambda self: self.placement.nodes)
    @rule(data=st.data())
    def node_down(self, data):
        self._do(self.placement.node_down(data.draw(st.sampled_from(list(self.placement.nodes)))))

    @rule(
        cpus=st.sampled_from([0.5, 1, 2]),
        memory_bytes=st.sampled_from([0, 0, 40]),
        function=st.sampled_from("fg"),
        idempotent=st.booleans(),
    )
    def submit(self, cpus, memory_bytes, function, idempotent):
        call = Call(function, None, cpus, memory_bytes, idempotent)
        call.payload = idempotent
        self.calls.append(call)
        self._do(self.placement.submit(call))

    @precondition(lambda self: self.placement.sent)
    @rule(data=st.data(), run_s=st.sampled_from([None, 0.000_1, 0.01, 1.0]))
    def ended(self, data, run_s):
        call = data.draw(st.sampled_from(self.placement.sent))
        self.over.add(call)
        self._do(self.placement.ended(call, run_s))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def cancel(self, data):
        call = data.draw(st.sampled_from(self.calls))
        waited = call.state == "queued"
        instructions = self.placement.cancel(call)
        if waited:
            self.over.add(call)
        self._do(instructions)

    @invariant()
    def no_node_has_too_much(self):
        for node in self.placement.nodes.values():
            assert node.used <= node.cpus + 1e-6
            assert abs(node.used - sum(call.part for call in node.calls)) < 1e-6
            assert node.used_bytes == sum(call.memory_bytes for call in node.calls)

    @invariant()
    def nothing_is_started_twice_that_must_not_be(self):
        for call, times in self.sent.items():
            assert times <= (3 if call.payload else 1)

    @invariant()
    def every_call_is_somewhere(self):
        sent, queued = set(self.placement.sent), set(self.placement.queued)
        for call in self.calls:
            assert (call in sent) + (call in queued) + (call in self.over) == 1

    @invariant()
    def the_next_one_waits_for_want_of_room_alone(self):
        queued = self.placement.queued
        if queued:
            head = queued[0]
            for node in self.placement.nodes.values():
                whole = head.cpus <= node.cpus
                assert not (whole and node.has_room(head.cpus, head.memory_bytes))


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
