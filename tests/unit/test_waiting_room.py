"""Orders that the waiting room must keep, one by one."""

import heapq
import random

import pytest

from lanewise.runtime.waiting_room import Serve, Shed, Ticket, WaitingRoom


def served_after(room, *tickets, service_s=1.0, now_s=0.0):
    """Submit tickets at once, end whatever is served, and return the order in which they were."""
    order, running = [], []

    def do(instructions):
        for one in instructions:
            if isinstance(one, Serve):
                order.append(one.ticket)
                running.append(one.ticket)

    for ticket in tickets:
        do(room.arrive(ticket, now_s))
    while running:
        now_s += service_s
        do(room.leave(running.pop(0), now_s))
    return order


def tasks_of(tickets):
    return "".join(ticket.task for ticket in tickets)


def test_a_flood_of_one_task_does_not_starve_another():
    flood = [Ticket("f", 0.0) for _ in range(6)]
    others = [Ticket("o", 0.0) for _ in range(2)]
    assert tasks_of(served_after(WaitingRoom(1, 100, None), *flood, *others)) == "ffofofff"


def test_a_higher_class_goes_first():
    room = WaitingRoom(1, 100, None)
    low, normal, high = (Ticket(one[0], 0.0, one) for one in ("low", "normal", "high"))
    first = Ticket("x", 0.0)
    assert tasks_of(served_after(room, first, low, normal, high)) == "xhnl"


def test_the_oldest_goes_first_until_it_has_waited_for_longer_than_was_expected():
    room = WaitingRoom(1, 100, 5.0)
    running = Ticket("t", 0.0)
    room.arrive(running, 0.0)
    waiting = [Ticket("t", at, expected_s=0.01) for at in (0.0, 1.0, 2.0, 2.1)]
    for ticket in waiting:
        room.arrive(ticket, ticket.arrived_s)
    (first,) = room.leave(running, 4.3)
    assert first == Serve(waiting[0])
    (second,) = room.leave(waiting[0], 5.5)  # the oldest has waited for 4.5 of 5 s
    assert second == Serve(waiting[3])


def test_what_is_refused_under_steady_overload_is_refused_when_it_comes():
    """Two places, calls of 0.1 s, sixteen a second too many: who is let in is served in time."""
    room, dice, timeout_s = WaitingRoom(2, 64, 1.0), random.Random(7), 1.0
    running, refused, served_after_s, at = [], [], [], 0.0
    while at < 60.0:
        at += dice.expovariate(36.0)
        while running and running[0][0] <= at:
            now_s, _, ticket = heapq.heappop(running)
            for one in room.leave(ticket, now_s):
                assert isinstance(one, Serve)
                served_after_s.append(now_s - one.ticket.arrived_s)
                ends_s = now_s + dice.uniform(0.07, 0.13)
                heapq.heappush(running, (ends_s, id(one.ticket), one.ticket))
        ticket = Ticket("t", at)
        for one in room.arrive(ticket, at):
            if isinstance(one, Serve):
                heapq.heappush(running, (at + 0.1, id(ticket), ticket))
            else:
                refused.append(one.reason)
    assert set(refused) == {"predicted_wait"}
    assert max(served_after_s) < timeout_s
    assert len(served_after_s) > 0.97 * 60 * 20, "and all that can be done is done"


def test_a_few_callers_that_come_again_and_again_are_no_overload():
    room, now_s, order = WaitingRoom(1, 100, 1.0), 0.0, []
    served = Ticket("t", 0.0)
    room.arrive(served, 0.0)
    for n in range(3):
        room.arrive(Ticket("t", 0.0, expected_s=0.1, payload=n), 0.0)
    for n in range(3, 40):
        now_s += 0.1
        (following,) = room.leave(served, now_s)
        served = following.ticket
        order.append(served.payload)
        room.arrive(Ticket("t", now_s, expected_s=0.1, payload=n), now_s)
    assert order == sorted(order)


def test_what_could_not_end_in_time_is_refused_when_it_comes():
    room = WaitingRoom(1, 100, None)
    running = Ticket("t", 0.0, expected_s=4.0)
    room.arrive(running, 0.0)
    room.leave(running, 4.0)
    room.arrive(Ticket("t", 4.0, expected_s=4.0), 4.0)
    (refused,) = room.arrive(Ticket("t", 4.0, expected_s=4.0, deadline_s=8.0), 4.0)
    assert isinstance(refused, Shed)
    assert refused.reason == "deadline"
    assert room.arrive(Ticket("t", 4.0, expected_s=4.0, deadline_s=20.0), 4.0) == []


def test_a_call_that_finds_room_is_never_refused_for_what_others_took():
    room = WaitingRoom(1, 100, 0.1)
    slow = Ticket("slow", 0.0)
    room.arrive(slow, 0.0)
    room.leave(slow, 100.0)
    next_one = Ticket("quick", 100.0, deadline_s=101.0)
    assert room.arrive(next_one, 100.0) == [Serve(next_one)]


def test_where_there_is_no_room_the_lowest_class_goes_home():
    room = WaitingRoom(1, 2, 100.0)
    low = [Ticket("l", 0.0, "low") for _ in range(4)]
    for ticket in low:
        room.arrive(ticket, 0.0)
    urgent = Ticket("h", 0.0, "high")
    (shed,) = room.arrive(urgent, 0.0)
    assert (shed.ticket, shed.reason) == (low[3], "displaced")
    assert urgent.state == "waiting"
    (refused,) = room.arrive(Ticket("l", 0.0, "low"), 0.0)
    assert refused.reason == "full"


def test_where_there_is_no_room_the_task_that_floods_goes_home():
    room = WaitingRoom(1, 3, 100.0)
    flood = [Ticket("f", 0.0) for _ in range(6)]
    for ticket in flood:
        room.arrive(ticket, 0.0)
    (shed,) = room.arrive(Ticket("o", 0.0), 0.0)
    assert (shed.ticket, shed.reason) == (flood[-1], "displaced")


def test_the_retry_time_grows_with_what_waits():
    room = WaitingRoom(1, 100, None)
    running = Ticket("t", 0.0)
    room.arrive(running, 0.0)
    room.leave(running, 2.0)
    times = []
    for _ in range(4):
        room.arrive(Ticket("t", 2.0), 2.0)
        times.append(room.retry_after_s())
    assert times == sorted(times)
    assert times[-1] == pytest.approx(4.0)


def test_a_short_call_behind_a_long_one_that_was_taken_back_gets_its_turn():
    room = WaitingRoom(1, 100, None)
    half = Ticket("t", 0.0, parts=32)
    room.arrive(half, 0.0)
    whole, short = Ticket("t", 0.0), Ticket("t", 0.0, parts=1)
    assert room.arrive(whole, 0.0) == room.arrive(short, 0.0) == []
    assert room.cancel(whole, 0.0) == [Serve(short)]
