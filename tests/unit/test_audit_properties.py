"""Whatever a file holds, the audit ends with a report; and a lock around everything silences it."""

from __future__ import annotations

import ast
import tempfile
import textwrap
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lanewise.readiness import AuditReport, audit_project

QUICK = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)

NAMES = st.sampled_from(["a", "b", "self", "cls", "lock", "D", "K"])
ATOMS = st.one_of(
    NAMES, st.sampled_from(["1", "None", "[]", "{}", "()", "'x'", "lambda: a", "(yield)", "..."])
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, NAMES).map(lambda p: f"({p[0]}).{p[1]}"),
        pair.map(lambda p: f"({p[0]})[{p[1]}]"),
        pair.map(lambda p: f"({p[0]})({p[1]})"),
        pair.map(lambda p: f"({p[0]}).get({p[1]})"),
        pair.map(lambda p: f"({p[0]} not in {p[1]})"),
        pair.map(lambda p: f"({p[0]} is None or {p[1]})"),
        pair.map(lambda p: f"[{p[0]} for a, *b in {p[1]}]"),
        st.tuples(NAMES, inner).map(lambda p: f"({p[0]} := {p[1]})"),
        pair.map(lambda p: f"({p[0]} if {p[1]} else a)"),
        inner.map(lambda e: f"type({e})"),
        inner.map(lambda e: f"hasattr({e}, 'a b')"),
        inner.map(lambda e: f"Thread(target={e}, args=({e},))"),
        inner.map(lambda e: f"pool.submit({e}, *a, **b)"),
        inner.map(lambda e: f"len({e})"),
        inner.map(lambda e: f"globals()[{e}]"),
    )


EXPRESSIONS = st.recursive(ATOMS, _wider, max_leaves=6)
SIMPLE = st.one_of(
    EXPRESSIONS,
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]} = {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]} += {p[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]}.a[{p[1]}] += 1"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"{p[0]}[{p[1]}] = {p[0]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"a, (b, *{p[0]}) = {p[1]}"),
    NAMES.map(lambda n: f"global {n}"),
    NAMES.map(lambda n: f"nonlocal {n}"),
    NAMES.map(lambda n: f"del {n}[a]"),
    NAMES.map(lambda n: f"from .{n} import a as b, D"),
    EXPRESSIONS.map(lambda e: f"return {e}"),
    st.sampled_from(["lock.acquire()", "lock.release()", "pass", "import a.b, D as K"]),
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = st.lists(inner, min_size=1, max_size=3).map(
        lambda lines: textwrap.indent("\n".join(lines), "    ")
    )
    return st.one_of(
        st.tuples(EXPRESSIONS, block, block).map(lambda p: f"if {p[0]}:\n{p[1]}\nelse:\n{p[2]}"),
        st.tuples(EXPRESSIONS, block).map(lambda p: f"while {p[0]}:\n{p[1]}"),
        st.tuples(EXPRESSIONS, block).map(lambda p: f"for a, K[0] in {p[0]}:\n{p[1]}"),
        st.tuples(EXPRESSIONS, block).map(lambda p: f"with {p[0]} as D.a:\n{p[1]}"),
        st.tuples(block, block).map(lambda p: f"try:\n{p[0]}\nexcept (KeyError, a):\n{p[1]}"),
        st.tuples(block, block).map(lambda p: f"try:\n{p[0]}\nfinally:\n{p[1]}"),
        st.tuples(EXPRESSIONS, block).map(lambda p: f"match {p[0]}:\n    case None:\n"
                                          + textwrap.indent(p[1], "    ")),
        st.tuples(NAMES, block).map(lambda p: f"class {p[0]}(D, K):\n{p[1]}"),
        st.tuples(NAMES, EXPRESSIONS, block).map(lambda p: f"def {p[0]}(self, b={p[1]}):\n{p[2]}"),
        st.tuples(NAMES, block).map(lambda p: f"@a\nasync def {p[0]}(cls, *D, **K):\n{p[1]}"),
    )  # fmt: skip


PROGRAMS = st.lists(st.recursive(SIMPLE, _compound, max_leaves=8), max_size=6).map("\n".join)


def audited(**sources: str) -> AuditReport:
    """Audit modules of these names."""
    with tempfile.TemporaryDirectory() as directory:
        for name, text in sources.items():
            path = Path(directory, f"{name}.py")
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return audit_project(Path(directory))


@QUICK
@given(PROGRAMS, PROGRAMS)
def test_no_program_crashes_the_audit(one: str, other: str) -> None:
    report = audited(a=one, D=other)
    assert report.files == 2
    for finding in report.findings:
        assert finding.line >= 1
        assert finding.message
        assert finding.fix


@QUICK
@given(st.text(max_size=200))
def test_no_text_crashes_the_audit(text: str) -> None:
    assert audited(a=text).files == 1


def _is_python(text: str) -> bool:
    try:
        compile(text, "a.py", "exec", ast.PyCF_ONLY_AST)
    except (SyntaxError, ValueError):
        return False
    return True


@QUICK
@given(PROGRAMS)
def test_what_cannot_be_parsed_is_told_and_only_that(program: str) -> None:
    unread = [f for f in audited(a=program).findings if f.rule == "FT000"]
    assert bool(unread) is not _is_python(program)


STEPS = st.sampled_from(
    [
        "n += 1",
        "D[k] += 1",
        "D[k] = D.get(k, 0) + 1",
        "if k not in D:\n    D[k] = object()",
        "if k in D:\n    del D[k]",
        "if n is None:\n    n = object()",
        "for x in D:\n    print(x)",
        "next(it)",
        "D.pop(k) if D else None",
    ]
)


@QUICK
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_one_lock_around_everything_silences_it(steps: list[str]) -> None:
    body = "\n".join(steps)
    head = "import threading\nlk = threading.Lock()\nn = 0\nD = {}\nit = iter([])\n"
    free = f"{head}def f(k):\n    global n\n{textwrap.indent(body, '    ')}\n"
    held = f"{head}def f(k):\n    global n\n    with lk:\n{textwrap.indent(body, ' ' * 8)}\n"
    assert audited(a=held).findings == ()
    hazards = [s for s in steps if not s.startswith("for")]
    assert bool(audited(a=free).findings) is bool(hazards)
