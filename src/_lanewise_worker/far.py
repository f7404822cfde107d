"""Calls that come from another machine, as a worker of a node there runs them.

The node itself never makes a user's object: what it hands to a worker, and what it gets back, is bytes.
So what a user's module does when it is imported, or a value when it is made again, costs a worker.
"""

from __future__ import annotations

import contextvars
import hashlib
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

from _lanewise_worker.call import FarSideError
from _lanewise_worker.codec import Encoded, decode, encode
from _lanewise_worker.crossing import pack_inline, unpack_inline
from _lanewise_worker.running import as_an_exception, explain, implementation
from _lanewise_worker.variables import find_variable

# What came of a call.
RETURNED = 0
RAISED = 1
NOT_BEGUN = 2

# How its value is written.
PLAIN = 0
BUFFERS = 1

# What came, how its value is written, the value.
Answer = tuple[int, int, bytes]

# Functions that this worker has made; calls run one by one in its main thread, which owns them.
_functions: dict[bytes, Callable[..., Any]] = {}
_variables: dict[str, contextvars.ContextVar[Any] | None] = {}
_MAX_FUNCTIONS = 4_096


class FarCall:
    """A function elsewhere, called with bytes. It looks like that function to whoever counts calls.

    Args:
        definition: The pickle of the function and its variant; empty where each call brings them along.
        name: What messages call it.
        module: Where it comes from.
        digest: Of that module's source where the call comes from; empty where that is not known.
        context: Names of context variables and their values there.
    """

    def __init__(
        self,
        definition: bytes,
        name: str,
        module: str = "",
        digest: str = "",
        context: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        self.definition = definition
        self.name = self.__qualname__ = name
        self.__module__ = module
        self.digest = digest
        self.context = context

    def __reduce__(self) -> tuple[Any, ...]:
        made_of = self.definition, self.name, self.__module__, self.digest, self.context
        return type(self), made_of

    def __call__(self, body: Any, written: int, *_shared: Any) -> Answer:
        """Make the arguments, call the function; shared objects were given so that they are here."""
        try:
            function, args, kwargs = self._opened(body, written)
        except BaseException as error:  # noqa: BLE001 - because: what arguments do when they are made again is theirs
            return _not_begun(error)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - because: the caller decides what it is worth
            return _raised(error)
        return _returned(result)

    def _opened(
        self, body: Any, written: int
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        self._set_context()
        value = _loaded(body, written)
        if self.definition:
            return self._function(), *value
        function, variant, args, kwargs = value
        return implementation(function, variant), args, kwargs

    def _set_context(self) -> None:
        for where, value in self.context:
            try:
                variable = _variables[where]
            except KeyError:
                variable = _variables.setdefault(where, find_variable(where))
            if variable is not None:
                variable.set(value)

    def _function(self) -> Callable[..., Any]:
        found = _functions.get(self.definition)
        if found is None:
            function, variant = pickle.loads(self.definition)  # noqa: S301 - because: from the runtime that owns the node
            _same_source(self.__module__, self.digest)
            if len(_functions) >= _MAX_FUNCTIONS:
                _functions.clear()
            found = _functions.setdefault(self.definition, implementation(function, variant))
        return found


class FarItem(FarCall):
    """The same, of one item of a chunk: its bytes are the only argument's."""

    def __call__(self, body: Any, *_: Any) -> Answer:
        """Make the item and call the function."""
        try:
            self._set_context()
            function, item = self._function(), decode(body)
        except BaseException as error:  # noqa: BLE001 - because: as in FarCall
            return _not_begun(error)
        try:
            result = function(item)
        except BaseException as error:  # noqa: BLE001 - because: as in FarCall
            return _raised(error)
        return _returned(result)


class FarStream(FarCall):
    """The same, of a generator function: each item is an answer, an exception is the last one."""

    def __call__(self, body: Any, written: int, *_shared: Any) -> Iterator[Answer]:  # type: ignore[override]  # because: a stream of answers
        """Run the generator."""
        try:
            function, args, kwargs = self._opened(body, written)
        except BaseException as error:  # noqa: BLE001 - because: as in FarCall
            yield _not_begun(error)
            return
        try:
            items = iter(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - because: as in FarCall
            yield _raised(error)
            return
        del args, kwargs
        try:
            yield from _answers(items)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()


def _answers(items: Iterator[Any]) -> Iterator[Answer]:
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except BaseException as error:  # noqa: BLE001 - because: as in FarCall
            yield _raised(error)
            return
        answer = _returned(item)
        del item
        yield answer
        if answer[0] == RAISED:
            return


def initialize(packed: bytes) -> None:
    """Call the initializer of the runtime that the calls come from, in a worker."""
    function, args = pickle.loads(packed)  # noqa: S301 - because: from the runtime that owns the node
    function(*args)


def write(encoded: bytes | Encoded) -> tuple[int, bytes]:
    """Return how a pickled value is written, and that as one piece."""
    if isinstance(encoded, bytes):
        return PLAIN, encoded
    return BUFFERS, b"".join(pack_inline(encoded))


def read(data: Any, written: int) -> Any:
    """Make a value again; its buffers are views of the data."""
    return unpack_inline(data) if written == BUFFERS else decode(data)


def _loaded(body: Any, written: int) -> Any:
    # A function may change the arrays that it is given, as it may anywhere else: a copy of its own.
    return read(bytearray(body) if written == BUFFERS else body, written)


def _returned(result: Any) -> Answer:
    try:
        return RETURNED, *write(encode(result))
    except BaseException as error:  # noqa: BLE001 - because: __reduce__ may raise anything
        return _told(RAISED, FarSideError("result", explain(error, result, "result")))


def _raised(error: BaseException) -> Answer:
    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        error = as_an_exception(error)
    return _told(RAISED, error)


def _not_begun(error: BaseException) -> Answer:
    words = f"{type(error).__module__}.{type(error).__qualname__}: {error}"
    return _told(NOT_BEGUN, FarSideError("arguments", words))


def _told(what: int, error: BaseException) -> Answer:
    from _lanewise_worker.traces import pack_exception  # noqa: PLC0415 - because: only when something failed

    return what, PLAIN, pack_exception(error, skip_frames=1)


def source_digest(module: str) -> str:
    """Return what tells two versions of a module's source apart; empty where none can be read."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if not file or module == "__main__":
        return ""
    try:
        with open(file, "rb") as source:  # noqa: PTH123 - because: pathlib is not worth its import here
            return hashlib.blake2b(source.read(), digest_size=16).hexdigest()
    except OSError:
        return ""


def _same_source(module: str, digest: str) -> None:
    """See that a module is the one that the caller has.

    Raises:
        ImportError: It is another version.
    """
    here = source_digest(module)
    if digest and here and here != digest:
        raise ImportError(
            f"the module {module} is not the same on this node as where the call comes from "
            f"({sys.modules[module].__file__} has other contents): bring the node up to date"
        )
