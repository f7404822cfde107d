"""The part of a call that cannot be pickled is found, named and explained."""

from __future__ import annotations

import collections
import copyreg
import functools
import pickle
import socket
import threading
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from _lanewise_worker import culprit
from _lanewise_worker.culprit import describe_culprit, find_culprit

LOCK = threading.Lock()
KEY = object()


@pytest.fixture(autouse=True)
def _there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that ran out of its second says less, and a busy machine may take that second away."""
    monkeypatch.setattr(culprit, "_MAX_S", 60.0)


class Client:
    def __init__(self, lock: Any = LOCK) -> None:
        self._lock = lock


class Slotted:
    __slots__ = ("empty", "lock")

    def __init__(self) -> None:
        self.lock = LOCK

    def use(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Frozen:
    number: int
    lock: Any


@dataclass
class Node:
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    late: Any = None


class Pair(NamedTuple):
    left: Any
    right: Any


class Built:
    """Is made again from constructor arguments."""

    def __init__(self, name: str, lock: Any) -> None:
        self.name, self.lock = name, lock

    def __reduce__(self) -> Any:
        return Built, (self.name, self.lock)


class OwnState:
    def __getstate__(self) -> Any:
        return {"hidden": LOCK}


class Registered: ...


class Raising:
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class Interrupted:
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class Lying:
    """Its ``__class__`` and its attributes are code."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("not now")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __reduce__(self) -> Any:
        raise RuntimeError


class Endless:
    def __reduce_ex__(self, protocol: Any) -> Any:
        return Endless, (), {"next": Endless()}


def outer() -> Any:
    def inner() -> None: ...

    return inner


def local_class() -> Any:
    class Local:
        def __init__(self) -> None:
            self.lock = LOCK

    return Local


def plain(value: int) -> int:
    return value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "it"),
        ([1, LOCK], "it[1]"),
        ((1, [2, LOCK]), "it[1][1]"),
        ({"rows": [0, {"handle": LOCK}]}, "it['rows'][1]['handle']"),
        ({KEY: LOCK}, "list(it.values())[0]"),
        ({"k" * 100: LOCK}, "list(it.values())[0]"),
        ({LOCK: 1}, "list(it)[0]"),
        ({LOCK}, "list(it)[0]"),
        (frozenset([(LOCK,)]), "list(it)[0][0]"),
        (Client(), "it._lock"),
        (Slotted(), "it.lock"),
        (Frozen(1, LOCK), "it.lock"),
        (Node(late=[Client()]), "it.late[0]._lock"),
        (Pair(1, LOCK), "it.right"),
        (Built("a", LOCK), "it.lock"),
        (Built("a", {LOCK}), "list(it.lock)[0]"),
        (OwnState(), "it.__getstate__()['hidden']"),
        (functools.partial(plain, 1, LOCK), "it.args[1]"),
        (functools.partial(plain, value=[LOCK]), "it.keywords['value'][0]"),
        (functools.partial(LOCK.acquire), "it.func.__self__"),
        (Slotted().use, "it.__self__.lock"),
        (ValueError("a", Client()), "it.args[1]._lock"),
        (collections.OrderedDict(a=1, b=LOCK), "it['b']"),
        (collections.defaultdict(list, b=LOCK), "it['b']"),
        (collections.defaultdict(lambda: 0), "it.default_factory"),
        (collections.deque([1, LOCK]), "it[1]"),
        (types.SimpleNamespace(x=types.SimpleNamespace(y=LOCK)), "it.x.y"),
    ],
)
def test_the_path_leads_to_what_cannot_be_pickled(value: Any, path: str) -> None:
    found = find_culprit(value, "it")
    assert found is not None
    assert found.path == path
    reached = eval(path, {"it": value})
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(reached, 5)


@pytest.mark.parametrize(
    "value",
    [
        None,
        plain,
        Client,
        Path("a"),
        [1, "a", {"b": (2.0, b"c")}],
        functools.partial(plain, 1),
        ValueError("a"),
        Node(parent=Node()),
        bytearray(10_000_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_found_where_all_can_be_pickled(value: Any) -> None:
    assert find_culprit(value, "it") is None


def test_a_registered_reduction_is_followed() -> None:
    copyreg.pickle(Registered, lambda _: (Registered, (), {"made": LOCK}))
    try:
        found = find_culprit([Registered()], "it")
    finally:
        del copyreg.dispatch_table[Registered]
    assert found is not None
    assert found.path.startswith("it[0].")
    assert found.kind == "a _thread.lock"


@pytest.mark.parametrize(
    ("make", "kind", "hint"),
    [
        (lambda: LOCK, "a _thread.lock", "__getstate__"),
        (threading.RLock, "a _thread.RLock", "__getstate__"),
        (lambda: lambda: 0, "a lambda", "def"),
        (outer, "a function defined inside outer()", "top of"),
        (local_class, "a class defined inside local_class()", "top of"),
        (
            lambda: local_class()(),  # noqa: PLW0108 - because: made in the test, not at import
            "an instance of a class defined inside local_class()",
            "its class to the top",
        ),
        (lambda: (number for number in ()), "a generator", "list"),
        (lambda: pytest, "a module", "Import"),
        (lambda: vars(Client()).values(), "a dict_values", "list"),
        (lambda: memoryview(b""), "a memoryview", "bytes"),
        (lambda: types.MappingProxyType({}), "a mappingproxy", "dict(...)"),
    ],
)
def test_kind_and_hint_say_what_it_is_and_how_to_mend_it(make: Any, kind: str, hint: str) -> None:
    found = find_culprit({"x": make()}, "it")
    assert found is not None
    assert found.path == "it['x']"
    assert found.kind == kind
    assert hint in found.hint


def test_open_files_and_sockets_are_called_so() -> None:
    with Path(__file__).open() as file, socket.socket() as connection:
        told_file = find_culprit(file, "it")
        told_socket = find_culprit([connection], "it")
    assert told_file is not None
    assert told_file.kind == "an open file"
    assert told_socket is not None
    assert "Open the connection" in told_socket.hint


def test_a_function_that_its_name_does_not_stand_for() -> None:
    replaced = types.FunctionType(plain.__code__, {}, "plain")
    replaced.__module__ = __name__
    found = find_culprit(replaced, "the function")
    assert found is not None
    assert "does not stand for" in found.kind
    assert "decorator" in found.hint


def test_it_is_said_in_two_sentences() -> None:
    found = find_culprit((types.SimpleNamespace(client=Client()),), "args")
    assert found is not None
    assert describe_culprit(found).startswith(
        "args[0].client._lock is a _thread.lock, which cannot leave its process: cannot pickle "
        "'_thread.lock' object. Keep locks out of what crosses"
    )


def test_a_part_that_refers_back_to_its_owner_is_not_blamed() -> None:
    root = Node()
    root.children = [Node(parent=root), Node(parent=root)]
    root.late = Client()
    found = find_culprit(root, "root")
    assert found is not None
    assert found.path == "root.late._lock"


def test_cycles_end() -> None:
    value: list[Any] = []
    value.extend([value, {"again": value}, LOCK])
    found = find_culprit(value, "it")
    assert found is not None
    assert found.path == "it[2]"


def test_what_the_users_objects_raise_is_the_reason() -> None:
    found = find_culprit([1, Raising()], "it")
    assert found is not None
    assert (found.path, found.reason) == ("it[1]", "SystemExit: 3")


def test_objects_that_lie_about_themselves_are_named_all_the_same() -> None:
    found = find_culprit([Lying()], "it")
    assert found is not None
    assert found.path == "it[0]"
    assert found.kind.endswith("Lying")


def test_an_interruption_is_the_users_wish() -> None:
    with pytest.raises(KeyboardInterrupt):
        find_culprit([Interrupted()], "it")


def test_too_many_levels_are_told_as_such() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    found = find_culprit(value, "it")
    assert found is not None
    assert (found.path, found.kind) == ("it", "a list with too many levels")
    assert "flatter" in found.hint


def test_a_structure_without_an_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit, "_MAX_S", 1.0)
    found = find_culprit(Endless(), "it")
    assert found is not None


def test_one_among_many_is_found() -> None:
    rows = [{"number": number} for number in range(50_000)]
    rows[43_210]["number"] = LOCK  # type: ignore[assignment]
    found = find_culprit(rows, "rows")
    assert found is not None
    assert found.path == "rows[43210]['number']"


def test_out_of_time_the_search_stops_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprit, "_MAX_S", 0.0)
    found = find_culprit([[[LOCK]]], "it")
    assert found is not None
    assert (found.path, found.kind) == ("it", "a list")
    assert "Something in it" in found.hint
    # Not even a single pickling of something large is waited for.
    assert find_culprit([bytes(10_000_000), LOCK], "it") is None


def test_buffers_are_not_copied() -> None:
    class Noted(bytearray):
        def __reduce_ex__(self, protocol: Any) -> Any:
            return bytearray, (pickle.PickleBuffer(self),)

    found = find_culprit([Noted(1_000), LOCK], "it")
    assert found is not None
    assert found.path == "it[1]"
