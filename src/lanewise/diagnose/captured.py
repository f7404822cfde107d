"""Arguments of real calls, kept on request, made into what ``lanewise measure`` takes for inputs."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lanewise.diagnose import capturing
from lanewise.diagnose.load import UNSEEN_SIZE, Advice
from lanewise.errors import DiagnoseError
from lanewise.measuring.store import write_atomically

DEFAULT_LIMIT_BYTES = 1_000_000
_VARIABLE = "LANEWISE_CAPTURE"
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_MODULE = '''\
"""Arguments of real calls of {target}, kept by lanewise diagnose. Secrets were {secrets}."""

import pickle
from pathlib import Path

CALLS = pickle.loads(Path(__file__).with_suffix(".pickle").read_bytes())


def inputs(size):
    """The arguments of the call whose size is nearest."""
    _, arguments, named = min(CALLS, key=lambda call: abs(call[0] - size))
    if named:
        raise ValueError(f"this call has arguments by name: {{', '.join(named)}}")
    return arguments
'''


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """What to keep.

    Attributes:
        targets: Functions, ``module:function``.
        folder: Where to.
        limit_bytes: Of a call's arguments; larger ones are not kept.
        secrets: Keep what looks like a secret by its name or its form; else its form alone is kept.
    """

    targets: tuple[str, ...]
    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    secrets: bool = False

    def __post_init__(self) -> None:
        for target in self.targets:
            if not _TARGET.fullmatch(target):
                raise DiagnoseError(
                    f"--capture {target}: name the function as MODULE:FUNCTION, app.views:export"
                )


@dataclass(frozen=True, slots=True)
class Captured:
    """What was kept of one function.

    Attributes:
        target: ``module:function``.
        sizes: Bytes of the arguments of each call that was kept.
        unfit: Why others were not, and at least how many.
        verify: The command that measures with them; None where there are none.
    """

    target: str
    sizes: tuple[int, ...]
    unfit: dict[str, int]
    verify: str | None


def environment(options: CaptureOptions) -> dict[str, str]:
    """The environment for a program whose calls are to be kept.

    Raises:
        DiagnoseError: The folder cannot be made.
    """
    try:
        options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DiagnoseError(f"--capture-to {options.folder}: {error.strerror}") from error
    asked = {
        "targets": options.targets,
        "folder": str(options.folder.resolve()),
        "limit_bytes": options.limit_bytes,
        "secrets": options.secrets,
    }
    here = str(Path(capturing.__file__).parent)
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, _VARIABLE: json.dumps(asked)}


def collect(options: CaptureOptions) -> list[Captured]:
    """Put together what all processes kept, and write a module of inputs for each function."""
    return [_collected(target, options) for target in options.targets]


def verified_by(advice: Advice, captured: Sequence[Captured]) -> Advice:
    """The advice, with the arguments that were kept in the command that verifies it, and their size."""
    for one in captured:
        if one.verify is not None and f"lanewise measure {one.target} " in advice.verify:
            size = f"up to {max(one.sizes):,} bytes of arguments were seen"
            assumption = advice.assumption.replace(UNSEEN_SIZE, size)
            return replace(advice, verify=one.verify, assumption=assumption)
    return advice


def _collected(target: str, options: CaptureOptions) -> Captured:
    stem = re.sub(r"\W", "_", target)
    calls: dict[int, Any] = {}
    unfit: Counter[str] = Counter()
    for file in sorted(options.folder.glob(f"{stem}.*.pickle")):
        # Written by a program that this one started, by code of ours, as plain data.
        found = pickle.loads(file.read_bytes())  # noqa: S301 - because: see above
        unfit.update(found["unfit"])
        for call in found["calls"]:
            calls.setdefault(call[0].bit_length(), call)
        file.unlink()
    if not calls:
        return Captured(target, (), dict(unfit), None)
    kept = sorted(calls.values(), key=lambda call: call[0])
    module = options.folder / f"captured_{stem}.py"
    data = module.with_suffix(".pickle")
    partial = data.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        pickle.dump(kept, opened, protocol=4)
    partial.replace(data)
    secrets = "kept" if options.secrets else "left out"
    write_atomically(module, _MODULE.format(target=target, secrets=secrets))
    sizes = tuple(call[0] for call in kept)
    verify = (
        f"PYTHONPATH={options.folder} lanewise measure {target} --inputs {module.stem}:inputs "
        f"--sizes {','.join(map(str, sizes))}"
    )
    return Captured(target, sizes, dict(unfit), verify)
