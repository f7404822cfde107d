"""Waiting for the GIL under musl: its condition variables are laid out here by hand."""

import itertools
import struct

from lanewise.diagnose.musl import is_waiter_of

GIL, STACK = 0x7000, 0x9000
# interval, last_holder, locked and switch_number come before the conditions.
CONDITIONS, END = GIL + 32, GIL + 256
HEAD, TAIL = 8, 40


class Memory:
    """Some words, zeros around them, and nothing anywhere else."""

    def __init__(self, words):
        self._words = words

    def word(self, address):
        if not GIL <= address < STACK + 0x1000:
            raise OSError("nothing is mapped there")
        return self._words.get(address, 0)

    def words(self, address, count):
        return struct.unpack(
            f"<{count}Q",
            b"".join(self.word(address + 8 * at).to_bytes(8, "little") for at in range(count)),
        )


def waiters(*nodes):
    """A list of waiters, the newest first: each node begins with who came after it."""
    words = {CONDITIONS + HEAD: nodes[0], CONDITIONS + TAIL: nodes[-1]}
    for newer, node in itertools.pairwise(nodes):
        words[node] = newer
        words[newer + 8] = node
    return words


def test_every_waiter_is_found_the_ones_between_first_and_last_too():
    nodes = [STACK + 0x100 * number for number in range(4)]
    memory = Memory(waiters(*nodes))
    assert all(is_waiter_of(memory, CONDITIONS, END, node + 20) for node in nodes)


def test_who_waits_for_something_else_is_no_waiter_of_this_lock():
    words = waiters(STACK, STACK + 0x100)
    other = STACK + 0x800
    words[other] = STACK + 0x900  # another condition's list
    memory = Memory(words)
    assert not is_waiter_of(memory, CONDITIONS, END, other + 20)
    assert not is_waiter_of(memory, CONDITIONS, END, STACK + 0x700)  # a semaphore
    assert not is_waiter_of(memory, CONDITIONS, END, 20)
    assert not is_waiter_of(memory, CONDITIONS, END, 0x100000 + 20)


def test_a_list_that_changes_into_a_circle_while_it_is_read_is_left():
    words = waiters(STACK)
    words[STACK + 0x100], words[STACK + 0x200] = STACK + 0x200, STACK + 0x100
    assert not is_waiter_of(Memory(words), CONDITIONS, END, STACK + 0x100 + 20)
