"""Stacks as a tree, each node with its seconds by column. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lanewise.diagnose.session import Frame
from lanewise.diagnose.states import Shares, no_shares
from lanewise.diagnose.summary import ProcessSummary, thread_title


@dataclass(slots=True)
class Node:
    """A function on a stack, with everything above it.

    Attributes:
        title: What is written on it.
        place: File and line; empty for a thread.
        seconds: By column, its own and of what it calls.
    """

    title: str
    place: str = ""
    seconds: Shares = field(default_factory=no_shares)
    children: dict[tuple[str, str, int], Node] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All columns together."""
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Box:
    """A node where it is drawn: a row, and from and to as shares of the width."""

    node: Node
    row: int
    left: float
    right: float


def tree_of(summary: ProcessSummary) -> Node:
    """Join all stacks of a process, thread by thread."""
    root = Node("all threads")
    record = summary.record
    for one in summary.seconds:
        stack = record.stack_of(record.looks[one.look]) if one.look >= 0 else ()
        node = root
        node.seconds[one.column] += one.seconds
        title = thread_title(record, one.thread)
        node = _child(node, ("thread", title, one.thread), Node(title))
        node.seconds[one.column] += one.seconds
        for frame in reversed(stack):
            node = _child(node, (frame.file, frame.qualname, frame.first_line), _node(frame))
            node.seconds[one.column] += one.seconds
    return root


def _child(node: Node, key: tuple[str, str, int], new: Node) -> Node:
    return node.children.setdefault(key, new)


def _node(frame: Frame) -> Node:
    return Node(frame.qualname, f"{frame.file}:{frame.line}")


def boxes(root: Node, least: float) -> Iterator[Box]:
    """Place every node that is at least so wide, as a share of the root's width."""
    total = root.total or 1.0
    left_over: list[tuple[Node, int, float]] = [(root, 0, 0.0)]
    while left_over:
        node, row, left = left_over.pop()
        width = node.total / total
        if width < least:
            continue
        yield Box(node, row, left, left + width)
        at = left
        for child in sorted(node.children.values(), key=lambda one: -one.total):
            left_over.append((child, row + 1, at))
            at += child.total / total
