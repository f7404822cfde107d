"""The user's own program, as workers see it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_RUNTIME = """
import asyncio
from lanewise import Runtime

def double(n):
    return 2 * n

async def main():
    async with Runtime(processes=1, lanes=("process",){more}) as rt:
        print(await rt.run(double, 21))

{start}
"""

_EXECUTOR = """
from lanewise import Executor

def double(n):
    return 2 * n

def main():
    with Executor(max_workers=1) as executor:
        print(executor.submit(double, 21).result())

{start}
"""


def _run(folder: Path, text: str, start: str, more: str = "") -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(text.format(start=start, more=more))
    return subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "start", "more"),
    [
        (_RUNTIME, "asyncio.run(main())", ""),
        (_RUNTIME, "asyncio.run(main())", ', preload=["__main__"]'),
        (_RUNTIME, "asyncio.run(main())", ', start_method="spawn"'),
        (_EXECUTOR, "main()", ""),
    ],
)
def test_a_program_without_a_guard_is_told_what_is_wrong(
    tmp_path: Path, text: str, start: str, more: str
) -> None:
    ran = _run(tmp_path, text, start, more)
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert 'under `if __name__ == "__main__":`' in last
    assert "__reduce__" not in last

    guarded = _run(tmp_path, text, f'if __name__ == "__main__":\n    {start}', more)
    assert (guarded.stdout, guarded.returncode) == ("42\n", 0), guarded.stderr


_BESIDE = """
import sys
from _lanewise_worker.main_module import install_lazy_main

install_lazy_main({"path": sys.argv[1]})
# It takes whatever is called __main__ then for the program that was started.
sys.modules.pop("multiprocessing", None)
import multiprocessing

assert sys.modules["__mp_main__"] is sys.modules["__main__"]
print(sys.modules["__main__"].answer())
"""


def test_a_module_that_imports_multiprocessing_may_come_before_the_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            def answer():
                return __name__
        """)
    )
    done = subprocess.run(
        [sys.executable, "-c", _BESIDE, str(program)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("__mp_main__\n", 0), done.stderr
