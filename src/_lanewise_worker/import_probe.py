"""Runs in a process that is thrown away: may a module be imported in an interpreter with its own lock?"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

_PROGRAM = """
import sys
sys.path[:] = lanewise_path
from _lanewise_worker.import_probe import try_to_import
try_to_import(lanewise_request, lanewise_answer)
"""


def main() -> None:
    """Read a request from stdin, try, and write the answer as stdout's last line.

    Whatever goes wrong otherwise ends this process, which is an answer as well.
    """
    request = sys.stdin.read()
    interpreters = importlib.import_module("concurrent.interpreters")
    reading, writing = os.pipe()
    interpreter = interpreters.create()
    interpreter.prepare_main(
        lanewise_path=tuple(sys.path), lanewise_request=request, lanewise_answer=writing
    )
    interpreter.exec(_PROGRAM)
    interpreter.close()  # an extension may be wrong about its end, too
    os.close(writing)
    with open(reading, encoding="utf-8") as file:  # noqa: PTH123 - because: a descriptor has no path
        answer = file.read()
    sys.stdout.flush()
    os.write(1, b"\n" + answer.encode())


def try_to_import(request: str, answer_fd: int) -> None:
    """Import the module; answer what refused it, None where nothing did. In the other interpreter.

    Any other trouble is the module's own, which the call itself will meet and tell.
    """
    from _lanewise_worker.main_module import install_lazy_main, load_main  # noqa: PLC0415 - because: only here

    asked: dict[str, Any] = json.loads(request)
    sys.path[:] = asked["path"]
    words = None
    try:
        if asked["module"] in ("__main__", "__mp_main__"):
            install_lazy_main(asked["main"])
            load_main(asked["main"])
        else:
            importlib.import_module(asked["module"])
    except BaseException as error:  # noqa: BLE001 - because: modules may raise anything, SystemExit too
        words = refusal_in(error)
    text = json.dumps({"refused": None if words is None else words[:2_000]})
    os.write(answer_fd, text.encode())


def refusal_in(error: BaseException) -> str | None:
    """Return what an error says of an extension that was refused; None where it is about anything else.

    Packages wrap the import's own error into one with advice, so causes are looked at too.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, ImportError) and "subinterpreter" in str(one).lower():
            return str(one)
        one = one.__cause__ or one.__context__
    return None
