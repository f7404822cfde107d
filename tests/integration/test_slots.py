"""Declared slots, read from extension modules that are built here, agree with what they do."""

from __future__ import annotations

import importlib.machinery
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lanewise.readiness.dependencies import (
    Interpreter,
    ModuleSlots,
    calibrate,
    own_gil_support,
    probe_gil,
    read_environment,
    read_slots,
)
from lanewise.readiness.dependencies.gil_probe import ImportSite

VERSION = sys.version_info[:2]
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
COMPILER = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
HEADER = Path(sysconfig.get_path("include"), "Python.h")
HAS_GIL_SLOT = VERSION >= (3, 13)
HAS_INTERPRETERS_SLOT = VERSION >= (3, 12)

# Slots are written by name where this version has the name, and left out where it has not.
MULTI_PHASE = """
#include <Python.h>
static int execute(PyObject *module) {{ {body} return 0; }}
#ifdef Py_mod_gil
#define GIL(value) {{Py_mod_gil, value}},
#else
#define GIL(value)
#endif
#ifdef Py_mod_multiple_interpreters
#define INTERPRETERS(value) {{Py_mod_multiple_interpreters, value}},
#else
#define INTERPRETERS(value)
#endif
static PyModuleDef_Slot slots[] = {{ {{Py_mod_exec, execute}}, {slots} {{0, NULL}} }};
static struct PyModuleDef definition = {{
    PyModuleDef_HEAD_INIT, .m_name = "{name}", .m_slots = slots
}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModuleDef_Init(&definition); }}
"""
SINGLE_PHASE = """
#include <Python.h>
static struct PyModuleDef definition = {{ PyModuleDef_HEAD_INIT, .m_name = "{name}", .m_size = -1 }};
PyMODINIT_FUNC PyInit_{name}(void) {{
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    {body}
#endif
    return module;
}}
"""
SET_GIL = "PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);"
CRASH = "*(volatile int *)0 = 0;"

# name: template, slots, body, and what is to be read of the lock and of interpreters.
MODULES = {
    "x_free": (MULTI_PHASE, "GIL(Py_MOD_GIL_NOT_USED)", "", "not_used", "undeclared"),
    "x_used": (MULTI_PHASE, "GIL(Py_MOD_GIL_USED)", "", "used", "undeclared"),
    "x_silent": (MULTI_PHASE, "", "", "undeclared", "undeclared"),
    "x_own": (
        MULTI_PHASE,
        "INTERPRETERS(Py_MOD_PER_INTERPRETER_GIL_SUPPORTED) GIL(Py_MOD_GIL_NOT_USED)",
        "",
        "not_used",
        "own_gil",
    ),
    "x_shared": (
        MULTI_PHASE,
        "GIL(Py_MOD_GIL_USED) INTERPRETERS(Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED)",
        "",
        "used",
        "shared_gil",
    ),
    "x_refuses": (
        MULTI_PHASE,
        "INTERPRETERS(Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED)",
        "",
        "undeclared",
        "not_supported",
    ),
    "x_crashes": (
        MULTI_PHASE,
        "GIL(Py_MOD_GIL_NOT_USED) INTERPRETERS(Py_MOD_PER_INTERPRETER_GIL_SUPPORTED)",
        CRASH,
        "not_used",
        "own_gil",
    ),
    "x_single": (SINGLE_PHASE, "", "", "used", "not_supported"),
    "x_single_free": (SINGLE_PHASE, "", SET_GIL, "not_used", "not_supported"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the modules are; the last but one lies in a package, under another name than its file's."""
    if COMPILER is None:
        pytest.skip("no C compiler on this machine")
    if not HEADER.exists():
        pytest.skip(f"no headers of this interpreter ({HEADER})")
    folder = tmp_path_factory.mktemp("extensions")
    for name, (template, slots, body, *_) in MODULES.items():
        build(folder / name, template.format(name=name, slots=slots, body=body))
    package = folder / "x_package"
    package.mkdir()
    (package / "__init__.py").write_text("import x_package.inner.x_silent2\n")
    (package / "inner").mkdir()
    (package / "inner" / "__init__.py").write_text("")
    text = MULTI_PHASE.format(name="x_silent2", slots="", body="")
    build(package / "inner" / "x_silent2", text)
    build(folder / "x_library", "int nothing_of_python(void) { return 1; }")
    build(
        folder / "x_dies", "__attribute__((constructor)) void f(void) { *(volatile int *)0 = 0; }"
    )
    build(
        folder / "x_hangs",
        "#include <unistd.h>\n__attribute__((constructor)) void f(void) { pause(); }",
    )
    return folder


def build(place: Path, text: str) -> None:
    source = place.with_suffix(".c")
    source.write_text(text)
    assert COMPILER is not None
    command = [
        COMPILER,
        "-shared",
        "-fPIC",
        f"-I{HEADER.parent}",
        "-o",
        str(file(place)),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def file(place: Path) -> Path:
    return place.with_name(place.name + importlib.machinery.EXTENSION_SUFFIXES[0])


def read(folder: Path, *names: str, **options: float) -> dict[str, ModuleSlots]:
    asked = [(name, str(file(folder / name.replace(".", "/")))) for name in names]
    found = read_slots(
        asked,
        search_path=(str(folder),),
        free_threaded=FREE_THREADED,
        **options,  # type: ignore[arg-type]
    )
    return {one.module: one for one in found}


@pytest.fixture(scope="module")
def interpreter(folder: Path) -> Interpreter:
    return read_environment(search_path=(str(folder),)).interpreter


@pytest.fixture(scope="module")
def slots(folder: Path) -> dict[str, ModuleSlots]:
    return read(folder, *MODULES)


def test_the_reader_proves_itself_here() -> None:
    calibration = calibrate()
    assert calibration.failure is None
    assert calibration.checked >= 2


@pytest.mark.parametrize("name", MODULES)
def test_what_is_written_is_read(slots: dict[str, ModuleSlots], name: str) -> None:
    template, _, _, gil, interpreters = MODULES[name]
    single = template is SINGLE_PHASE
    if not HAS_GIL_SLOT or (single and not FREE_THREADED):
        gil = "unknown"
    if not HAS_INTERPRETERS_SLOT:
        interpreters = "unknown"
    found = slots[name]
    assert (found.multi_phase, found.gil, found.interpreters) == (not single, gil, interpreters)
    assert found.gil_is_lower_bound is not FREE_THREADED


def test_a_module_in_a_package_is_read_without_importing_the_package(folder: Path) -> None:
    (found,) = read(folder, "x_package.inner.x_silent2").values()
    assert found.multi_phase is True


def test_a_library_is_no_extension_module(folder: Path) -> None:
    (found,) = read(folder, "x_library").values()
    assert (found.extension_module, found.brings_lock_back) == (False, False)
    assert "no PyInit" in found.reason


def test_a_missing_file_is_told(folder: Path) -> None:
    (found,) = read(folder, "x_nowhere").values()
    assert (found.gil, found.extension_module) == ("unknown", True)
    assert "cannot be loaded" in found.reason


def test_a_file_for_another_interpreter_is_not_loaded(folder: Path) -> None:
    other = folder / "x_free.cpython-27-x86_64-linux-gnu.so"
    shutil.copy(file(folder / "x_free"), other)
    (found,) = read_slots([("x_free", str(other))], free_threaded=FREE_THREADED)
    assert found.reason.startswith("built for another interpreter")


def test_a_library_that_kills_the_process_costs_itself_alone(folder: Path) -> None:
    found = read(folder, "x_free", "x_dies", "x_own", "x_dies", "x_silent")
    assert "SIGSEGV" in found["x_dies"].reason
    assert [found[name].multi_phase for name in ("x_free", "x_own", "x_silent")] == [True] * 3


def test_a_library_that_hangs_costs_itself_alone(folder: Path) -> None:
    # The time is waited for in full, so the shortest comes first; a busy machine may need more of it for
    # the module that does not hang.
    for timeout_s in (1.0, 5.0, 20.0):
        found = read(folder, "x_hangs", "x_free", timeout_s=timeout_s)
        assert f"no answer within {timeout_s:g} s" in found["x_hangs"].reason
        if found["x_free"].multi_phase:
            break
    assert found["x_free"].multi_phase is True


@pytest.mark.skipif(
    not HAS_INTERPRETERS_SLOT, reason="3.12 has the first interpreters with own locks"
)
def test_interpreters_take_what_declares_it_and_refuse_the_rest(
    interpreter: Interpreter, slots: dict[str, ModuleSlots]
) -> None:
    support = own_gil_support(interpreter, [name for name in MODULES if name != "x_crashes"])
    for one in support:
        assert one.source == "imported"
        assert one.allowed is (slots[one.module].interpreters == "own_gil"), one


def test_a_module_that_crashes_everywhere_says_nothing_of_interpreters(
    interpreter: Interpreter, slots: dict[str, ModuleSlots]
) -> None:
    declared = {"x_crashes": [slots["x_crashes"]]}
    (support,) = own_gil_support(interpreter, ["x_crashes"], declared=declared)
    if HAS_INTERPRETERS_SLOT:
        assert (support.source, support.allowed) == ("declared", None)
        assert "SIGSEGV" in str(support.reason)
    else:
        assert (support.source, support.allowed) == ("version", False)


@pytest.mark.skipif(not FREE_THREADED, reason="only free-threaded builds can do without the lock")
def test_what_does_not_declare_it_switches_the_lock_on(
    interpreter: Interpreter, slots: dict[str, ModuleSlots]
) -> None:
    result = probe_gil(interpreter, [*MODULES, "x_package"])
    requirers = {one.module for one in result.requirers}
    declared = {name for name, one in slots.items() if one.brings_lock_back}
    assert requirers == declared | {"x_package.inner.x_silent2"}
    assert [one.module for one in result.failed] == ["x_crashes"]


def test_binaries_that_are_refused_are_told_where_the_module_is_taken(
    interpreter: Interpreter, slots: dict[str, ModuleSlots]
) -> None:
    """As of a package that imports its accelerator later, or does without it."""
    declared = {"json": [slots["x_silent"], slots["x_own"]]}
    (support,) = own_gil_support(interpreter, ["json"], declared=declared)
    assert support.without == (("x_silent",) if HAS_INTERPRETERS_SLOT else ())
    (again,) = own_gil_support(interpreter, ["json"])
    assert again.without == ()


@pytest.mark.skipif(not FREE_THREADED, reason="only free-threaded builds can do without the lock")
@pytest.mark.parametrize("variable", ["PYTHON_GIL=1", "PYTHON_GIL=0", "PYTHONWARNINGS=error"])
def test_what_the_environment_says_of_the_lock_does_not_hide_anything(
    interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(*variable.split("="))
    result = probe_gil(interpreter, ["x_used", "x_silent"])
    assert [one.module for one in result.requirers] == ["x_used", "x_silent"]
    assert result.failed == ()


@pytest.mark.skipif(not FREE_THREADED, reason="only free-threaded builds can do without the lock")
def test_the_first_one_is_seen_even_where_warnings_are_errors(
    interpreter: Interpreter, folder: Path
) -> None:
    """CPython then raises instead of printing its line, and leaves the lock on."""
    text = "import warnings\nwarnings.simplefilter('error')\nimport x_used\n"
    (folder / "x_strict.py").write_text(text)
    result = probe_gil(interpreter, ["x_strict"])
    assert [one.module for one in result.requirers] == ["x_used"]
    assert "has been enabled to load" in result.failed[0].reason


@pytest.mark.skipif(not FREE_THREADED, reason="only free-threaded builds can do without the lock")
def test_the_chain_of_imports_is_told(interpreter: Interpreter, folder: Path) -> None:
    (requirer,) = probe_gil(interpreter, ["x_package"]).requirers
    assert requirer.path == str(file(folder / "x_package/inner/x_silent2"))
    expected = ImportSite("x_package", str(folder / "x_package/__init__.py"), 1)
    assert requirer.chain == (expected,)


@pytest.mark.skipif(not FREE_THREADED, reason="only free-threaded builds can do without the lock")
def test_submodules_of_a_package_that_fails_do_not_repeat_it(
    interpreter: Interpreter, folder: Path
) -> None:
    (folder / "x_broken").mkdir()
    (folder / "x_broken" / "__init__.py").write_text("raise RuntimeError('no')\n")
    result = probe_gil(interpreter, ["x_broken", "x_broken.part", "x_free"])
    assert [(one.module, one.reason) for one in result.failed] == [("x_broken", "RuntimeError: no")]
    assert result.imported == 1


@pytest.mark.skipif(FREE_THREADED, reason="this is a free-threaded build")
def test_an_ordinary_build_says_that_another_one_is_needed(interpreter: Interpreter) -> None:
    result = probe_gil(interpreter, ["x_used"])
    assert (result.ran, result.imported) == (False, 0)
    assert "free-threaded interpreter is needed" in str(result.reason)


def standard_library() -> list[tuple[str, str]]:
    """Every extension module of the standard library that is a file of its own."""
    here = Path(sysconfig.get_config_var("DESTSHARED") or "/nowhere")
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    return [(one.name.removesuffix(suffix), str(one)) for one in sorted(here.glob(f"*{suffix}"))]


@pytest.fixture(scope="module")
def standard() -> dict[str, ModuleSlots]:
    read = read_slots(standard_library(), free_threaded=FREE_THREADED)
    return {one.module: one for one in read}


@pytest.mark.skipif(
    not HAS_INTERPRETERS_SLOT, reason="3.12 has the first interpreters with own locks"
)
def test_the_standard_library_is_taken_by_interpreters_as_it_declares(
    standard: dict[str, ModuleSlots],
) -> None:
    # What imports others may fail because of these, whatever it declares itself: _zoneinfo does in
    # 3.12, where _datetime is refused.
    support = own_gil_support(read_environment().interpreter, standard)
    refused = {
        one.module
        for one in support
        if f"module {one.module} does not support loading in subinterpreters" in str(one.reason)
    }
    declared = {name for name, one in standard.items() if one.interpreters != "own_gil"}
    assert len(standard) > 10
    assert refused == declared


@pytest.mark.skipif(not FREE_THREADED, reason="only free-threaded builds can do without the lock")
def test_the_standard_library_leaves_the_lock_off_as_it_declares(
    standard: dict[str, ModuleSlots],
) -> None:
    result = probe_gil(read_environment().interpreter, standard)
    requirers = {one.module for one in result.requirers}
    failed = {one.module for one in result.failed}
    assert {name for name, one in standard.items() if one.brings_lock_back} - failed == requirers
