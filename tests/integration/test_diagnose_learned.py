"""`lanewise diagnose` on interpreters that do not publish where things lie in their memory."""

import json
import subprocess
import sys

import pytest

from lanewise.cli.main import main
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
