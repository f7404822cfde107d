"""The loop of a child process that answers questions one at a time. Stdlib only, never imported.

``probe.py`` passes this text to ``python -c``, so the interpreter that is asked may live in another
environment, or see other files, than the one that asks. On stdin: one line with the probe's source,
then one question a line, all JSON. On what was stdout: one line of JSON for each, the first one what
the probe's ``prepare`` returned.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Answer until stdin ends."""
    # What is imported here may print, and may read stdin: neither end of the channel is theirs.
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    faulthandler.enable(file=2)
    setup = json.loads(questions.readline())
    sys.path.extend(entry for entry in setup["search_path"] if entry not in sys.path)
    namespace: dict[str, Any] = {"__name__": "lanewise_probe"}
    exec(compile(setup["source"], setup["name"], "exec"), namespace)  # noqa: S102 - because: our own file, as text

    def tell(function: Callable[[Any], dict[str, Any]], question: Any) -> None:
        try:
            answer = function(question)
        except BaseException as error:  # noqa: BLE001 - because: SystemExit of a module costs that question alone
            last = traceback.format_exception_only(type(error), error)[-1].strip()
            answer = {"error": last}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    tell(namespace["prepare"], setup["options"])
    for line in questions:
        tell(namespace["answer"], json.loads(line))
    # Not sys.exit(): what was imported may crash, or wait for threads, while it is torn down.
    os._exit(0)


if __name__ == "__main__":
    main()
