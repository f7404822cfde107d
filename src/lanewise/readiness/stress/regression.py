"""A failing schedule kept as a test: readable, the same each time, never written over."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lanewise.errors import AuditError
from lanewise.readiness.stress.models import SHARING, Model
from lanewise.readiness.stress.subjects import import_name_of

_WIDTH = 98


def check_folder(folder: Path) -> None:
    """Make the folder, before the time for exploring is spent.

    Raises:
        AuditError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AuditError(
            f"no tests can be written to {folder} ({error.strerror}): give --models a folder that you "
            "may write to"
        ) from error


def write_test(model: Model, folder: Path, python: str) -> tuple[Path, bool]:
    """Write the test of a failing model.

    Args:
        model: One that fails.
        folder: Where to.
        python: The version that it failed on, for the reader.

    Returns:
        The file, and whether it was written: one that is there with other content stays as it is.

    Raises:
        AuditError: It cannot be written.
    """
    path = (
        folder / f"test_{_slug(f'{model.subject.finding.rule}_{model.subject.finding.object}')}.py"
    )
    text = render(model, folder, python)
    try:
        return path, _create(path, text) or path.read_text(encoding="utf-8") == text
    except OSError as error:
        raise AuditError(f"{path} could not be written: {error}") from error


def _create(path: Path, text: str) -> bool:
    """Create a file with its whole content at once; False where there is one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        path.hardlink_to(name)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()
    return True


def render(model: Model, folder: Path, python: str) -> str:
    """Return the test's text."""
    subject, function = model.subject, model.function
    module, path = import_name_of(Path(function.file), Path(subject.path))
    shared = subject.object
    if subject.object_module != module:
        shared = f"{subject.object_module}:{shared}"
    arguments = [
        f"{_text(module)},",
        f"{_text(function.qualname)},",
        f"rule={_text(subject.finding.rule)},",
        f"shared={_text(shared)},",
        *_arguments(model.arguments, folder),
        *_schedule(model),
        f"paths=[HERE / {_text(os.path.relpath(path, folder.resolve()))}],",
    ]
    body = "\n".join(f"        {line}" for line in arguments)
    return f'''"""{_heading(model)}

{_story(model, python)}
"""

from pathlib import Path

from lanewise.testing import {"interleave" if subject.finding.rule in SHARING else "Pause, interleave"}

HERE = Path(__file__).parent


def test_{_slug(f"two_calls_of_{function.qualname}")}() -> None:
    found = interleave(
{body}
    )
    assert found.holds, found.explain()
'''


def _heading(model: Model) -> str:
    finding = model.subject.finding
    return f"{finding.rule}: two calls of {model.function.qualname} and {finding.object}."


def _story(model: Model, python: str) -> str:
    lines = ["Found by ``lanewise audit --stress``, on Python " + python + "."]
    if model.subject.finding.rule in SHARING:
        lines += ["", *textwrap.wrap(_sentence(model.evidence), _WIDTH), ""]
        lines += [
            "It passes once the two have nothing in common. Where they are meant to, delete it and say",
            f"so at the place: # lanewise: ok({model.subject.finding.rule}: why)",
        ]
        return "\n".join(_safe(line) for line in lines)
    lines += [
        "One thread is paused",
        *(f"    in {of} before `{what}` of `{at}`" for _, of, at, what, _ in model.pauses),
        "and the other one runs meanwhile. What came of it:",
        *(f"    {part}: {text}" for part, text in model.outcome.items()),
        "and one call after the other:",
        *(f"    {part}: {text}" for part, text in model.serial[0].items()),
        "",
        "It passes once the calls behave as if one came after the other, for example because of a",
        "lock: a thread that comes to one which the paused one holds waits for it.",
    ]
    return "\n".join(_safe(line) for line in lines)


def _safe(line: str) -> str:
    line = line.replace("\\", "\\\\").replace('"""', "'''")
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _arguments(spec: Mapping[str, Any], folder: Path) -> Sequence[str]:
    if spec.get("from") == "inputs":
        return [f"inputs_size={spec['size']},"]
    if spec.get("from") == "factory":
        return [f"factories=HERE / {_text(os.path.relpath(spec['file'], folder.resolve()))},"]
    written = []
    if spec.get("args", "()") != "()":
        written.append(f"args={spec['args']},")
    if spec.get("kwargs", "{}") != "{}":
        written.append(f"kwargs={spec['kwargs']},")
    return written


def _schedule(model: Model) -> Sequence[str]:
    lines = []
    if model.pauses:
        lines.append("pauses=[")
        for thread, of, at, what, time in model.pauses:
            again = f", time={time}" if time != 1 else ""
            where = f"of={_text(of)}, at={_text(at)}, before={_text(what)}"
            lines.append(f"    Pause(thread={thread}, {where}{again}),")
        lines.append("],")
    if model.first:
        lines.append(f"first={model.first},")
    if model.made_at:
        lines.append(f"made_at=[{', '.join(map(_text, model.made_at))}],")
    return lines


def _text(value: str) -> str:
    """A string's literal as formatters write it."""
    plain = value.isprintable() and not set(value) & {"\\", '"'}
    return f'"{value}"' if plain else repr(value)


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()
