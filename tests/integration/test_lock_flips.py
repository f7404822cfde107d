"""On a free-threaded build: an import that switches the lock on is named, and routes follow."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

COMPILER = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
HEADER = Path(sysconfig.get_path("include"), "Python.h")

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED") or COMPILER is None or not HEADER.exists(),
    reason="needs a free-threaded build, a compiler and its headers",
)

SOURCE = """
#include <Python.h>
static PyModuleDef_Slot slots[] = {{ {slot} {{0, NULL}} }};
static struct PyModuleDef definition = {{
    PyModuleDef_HEAD_INIT, .m_name = "{name}", .m_slots = slots
}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModuleDef_Init(&definition); }}
"""

PROGRAM = """
import asyncio, sys, warnings
from lanewise import Runtime
from lanewise.host.facts import gil_enabled
from lanewise.runtime import lock_watch
from lanewise.testing.calls import square

lock_watch._EVERY_S = 0.01
warnings.simplefilter("always")

async def main():
    async with Runtime(lanes=("thread",)) as rt:
        assert not gil_enabled()
        told = asyncio.get_running_loop().create_future()

        def tell(message, *_):
            if "GIL is on again" in str(message) and not told.done():
                told.set_result(str(message))

        warnings.showwarning = tell
        import x_declared
        assert not gil_enabled()
        import middle
        assert gil_enabled()
        print(await told)
        assert await rt.run(square, 3) == 9
        assert rt.statistics().gil_enabled
    from importlib.machinery import ExtensionFileLoader
    assert "lanewise" not in ExtensionFileLoader.create_module.__module__

asyncio.run(main())
"""


def build(folder: Path, name: str, slot: str) -> None:
    source = folder / f"{name}.c"
    source.write_text(SOURCE.format(name=name, slot=slot))
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [COMPILER, "-shared", "-fPIC", f"-I{HEADER.parent}", str(source), "-o", str(target)]
    subprocess.run(command, check=True)


def test_the_module_its_file_and_the_way_to_it_are_told(tmp_path: Path) -> None:
    build(tmp_path, "x_declared", "{Py_mod_gil, Py_MOD_GIL_NOT_USED},")
    build(tmp_path, "x_silent", "")
    (tmp_path / "middle.py").write_text("import x_silent\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "x_silent" in ran.stdout
    assert str(tmp_path / "x_silent") in ran.stdout
    assert f"imported from {tmp_path / 'middle.py'}:1" in ran.stdout
    assert "program.py" in ran.stdout.split("that from")[1]
    assert "x_declared" not in ran.stdout
