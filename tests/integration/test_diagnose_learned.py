"""`lanewise diagnose` on interpreters that do not publish where things lie in their memory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lanewise.cli.main import main
from lanewise.diagnose import learned
from lanewise.diagnose.py_spy import find_py_spy

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other processes are read through /proc"),
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="it publishes where things lie"),
]
ATTEMPTS = 3
PROGRAM = """
import asyncio, gc, json, time
gc.disable()
DOCUMENT = {str(number): list(range(20)) for number in range(200)}

def größe():
    json.dumps(DOCUMENT)

def 数える():
    total = 0
    for number in range(20_000):
        total += number % 7

class Cycles:
    def collect(self):
        began = time.monotonic()
        while time.monotonic() - began < 0.15:
            gc.collect()

async def turns():
    print("begun", flush=True)
    while True:
        began = time.monotonic()
        while time.monotonic() - began < 0.05:
            größe()
        while time.monotonic() - began < 0.1:
            数える()
        Cycles().collect()
        await asyncio.sleep(0.1)

asyncio.run(turns())
"""


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            yield process.pid
        finally:
            process.kill()


def diagnosed(pid, tmp_path, *options):
    path = tmp_path / "found.json"
    status = main(
        ["diagnose", "--pid", str(pid), "--duration", "2s", "--json", str(path), *options]
    )
    return status, json.loads(path.read_text()) if status == 0 else None


def test_frames_native_code_and_collections_are_told_apart(program, tmp_path):
    def agrees(functions):
        native, python = (
            functions.get(name, {"shares": {}})["shares"] for name in ("größe", "数える")
        )
        return (
            "Cycles.collect" in functions
            and native.get("native_gil", 0) > 2 * native.get("python_gil", 1)
            and python.get("python_gil", 0) > 2 * python.get("native_gil", 1)
        )

    for _ in range(ATTEMPTS):
        status, found = diagnosed(program, tmp_path)
        functions = {one["function"]: one for one in found["functions"]}
        if agrees(functions):
            break
    assert status == 0
    assert found["source"] == "learned-offsets"
    assert agrees(functions), functions
    line = PROGRAM.splitlines().index("            gc.collect()") + 1
    assert functions["Cycles.collect"]["line"] in {line - 1, line}


@pytest.mark.skipif(find_py_spy() is None, reason="py-spy is not installed")
def test_py_spy_is_still_there_for_builds_that_cannot_be_read(program, tmp_path):
    for _ in range(ATTEMPTS):
        _, found = diagnosed(program, tmp_path, "--source", "py-spy")
        named = {one["function"] for one in found["functions"]}
        if "数える" in named and found["stalls"]:
            break
    assert found["source"] == "learned-lock+py-spy"
    assert "数える" in named
    assert found["stalls"]


def test_a_source_that_this_version_has_not_is_told(program, tmp_path, capsys):
    assert diagnosed(program, tmp_path, "--source", "debug-offsets") == (2, None)
    assert "learned-offsets" in capsys.readouterr().err


SLEEPER = "import sys, threading; print('begun', flush=True); threading.Event().wait()"


@pytest.fixture
def copy_of_the_interpreter(tmp_path):
    """Start a copy under a name of its own, and look at it; the document and what was run for that."""

    def look(name, monkeypatch, *, removed=False):
        file = tmp_path / name
        shutil.copy(Path(sys.executable).resolve(), file)
        with subprocess.Popen(
            [str(file), "-c", SLEEPER],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
        ) as process:
            try:
                assert process.stdout.readline() == "begun\n"
                if removed:
                    file.unlink()
                ran = []
                real = learned.subprocess.run
                monkeypatch.setattr(
                    learned.subprocess,
                    "run",
                    lambda command, **rest: ran.append(command) or real(command, **rest),
                )
                status, found = diagnosed(process.pid, tmp_path)
            finally:
                process.kill()
        assert status == 0
        return found, [one for one in ran if learned._learning_probe.__file__ in one]

    return look


def test_a_program_with_an_interpreter_inside_is_not_run_a_second_time(
    copy_of_the_interpreter, monkeypatch
):
    found, ran = copy_of_the_interpreter("shop", monkeypatch)
    assert ran == []
    assert found["source"].startswith("scheduler")
    assert found["process"]["gil_held_share"] is None
    assert any("a program of its own" in one for one in found["process"]["weaknesses"])


def test_an_interpreter_that_is_another_file_here_weakens_what_is_told(
    copy_of_the_interpreter, monkeypatch
):
    """As in a container, whose path is the host's own file here or nobody's; or after an upgrade."""
    found, ran = copy_of_the_interpreter("python3", monkeypatch, removed=True)
    assert ran == []
    assert found["source"].startswith("scheduler")
    assert any("not the same file" in one for one in found["process"]["weaknesses"])


def test_a_copy_of_the_interpreter_under_its_own_name_is_learned_from(
    copy_of_the_interpreter, monkeypatch, tmp_path
):
    copy = tmp_path / "python3.0"
    shutil.copy(Path(sys.executable).resolve(), copy)
    if subprocess.run([copy, "-I", "-S", "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("this build finds its library beside itself alone: a copy of it does not run")
    found, ran = copy_of_the_interpreter("python3.1", monkeypatch)
    assert found["source"] == "learned-offsets"
    assert len(ran) == 1
