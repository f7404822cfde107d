"""What the audit reads, keeps back and says: files, suppressions, baseline, text, JSON, SARIF, exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.audit_cases import audit, of_rule, write_project

from lanewise.cli.main import main
from lanewise.errors import AuditError
from lanewise.readiness import AuditOptions, audit_project
from lanewise.readiness.explain import page
from lanewise.readiness.rules import RULES

HAZARD = "n = 0\ndef f():\n    global n\n    n += 1\n"
FINE = "def f():\n    return 1\n"
MILD = "cache = {}\ndef f(k):\n    if k not in cache:\n        cache[k] = len(k)\n    return cache[k]\n"


def objects(root: Path, **options: Any) -> list[str]:
    """Return what is found below a directory."""
    return [f.object for f in audit_project(root, AuditOptions(**options)).findings]


# --- files ----------------------------------------------------------------------------------------


def test_other_peoples_code_and_tests_are_left_out(tmp_path: Path) -> None:
    names = [
        ".venv/lib/a.py", "venv/a.py", "mine/pyvenv.cfg", "mine/lib/b.py", ".git/c.py", "build/d.py",
        "node_modules/e.py", "x.egg-info/f.py", "__pycache__/g.py", "lib/site-packages/h.py",
        "tests/i.py", "pkg/test_j.py", "pkg/j_test.py", "conftest.py",
    ]  # fmt: skip
    write_project(tmp_path, {**dict.fromkeys(names, HAZARD), "pkg/app.py": HAZARD})
    assert objects(tmp_path) == ["pkg.app.n"]
    assert objects(tmp_path, include_tests=True) == [
        "conftest.n", "pkg.app.n", "pkg.j_test.n", "pkg.test_j.n", "tests.i.n",
    ]  # fmt: skip


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    write_project(tmp_path, {"test_x.py": HAZARD})
    assert objects(tmp_path / "test_x.py") == ["test_x.n"]


def test_what_cannot_be_read_is_told_and_the_rest_audited(tmp_path: Path) -> None:
    write_project(tmp_path, {"good.py": HAZARD, "old.py": "x = 1\nprint 'x'\n", "nul.py": "a\0b"})
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff\xfe'\n")
    (tmp_path / "codec.py").write_bytes(b"# coding: no-such-codec\n")
    (tmp_path / "deep.py").write_text("(" * 5000 + ")" * 5000, encoding="utf-8")
    (tmp_path / "link.py").symlink_to(tmp_path / "gone.py")
    report = audit_project(tmp_path)
    unread = {f.path: f for f in of_rule(report, "FT000")}
    assert sorted(unread) == ["bytes.py", "codec.py", "deep.py", "nul.py", "old.py"]
    assert unread["old.py"].line == 2
    assert {f.level for f in unread.values()} == {"info"}
    assert [f.object for f in of_rule(report, "FT101")] == ["good.n"]


def test_encodings_are_those_that_the_files_declare(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(
        "# coding: latin-1\n# é\n".encode("latin-1") + HAZARD.encode()
    )
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbf" + HAZARD.encode())
    (tmp_path / "crlf.py").write_bytes(HAZARD.replace("\n", "\r\n").encode())
    assert sorted(objects(tmp_path)) == ["bom.n", "crlf.n", "latin.n"]


def test_names_that_are_not_utf8_can_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "caf\udce9.py").write_text(HAZARD, encoding="utf-8")
    assert main(["audit", str(tmp_path), "--json"]) == 1
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert finding["path"] == "caf\ufffd.py"
    sarif = tmp_path / "a.sarif"
    assert main(["audit", str(tmp_path), "--sarif", str(sarif)]) == 1
    assert "caf%EF%BF%BD.py" in sarif.read_text(encoding="utf-8")


def test_long_and_deep_files_are_no_trouble(tmp_path: Path) -> None:
    lines = "".join(f"x{i} = {i}\n" for i in range(20_000))
    chain = "y = " + "+".join(["1"] * 3_000) + "\n"
    report = audit(tmp_path, lines + HAZARD)
    assert [f.line for f in report.findings] == [20_004]
    assert report.lines == 20_004
    audit(tmp_path / "chain", chain)


@pytest.mark.parametrize(
    ("files", "path", "words"),
    [
        ({}, "nowhere", "does not exist"),
        ({"a.txt": "x"}, ".", "holds no Python file"),
        ({"tests/a.py": "x = 1"}, ".", "--include-tests"),
    ],
)
def test_nothing_to_audit_is_an_error_that_says_what_to_do(
    tmp_path: Path, files: dict[str, str], path: str, words: str
) -> None:
    write_project(tmp_path, files)
    with pytest.raises(AuditError, match=words):
        audit_project(tmp_path / path)


# --- suppressions ---------------------------------------------------------------------------------

GOOD = "# lanewise: ok(FT101: only one thread writes)"


@pytest.mark.parametrize(
    "source",
    [
        HAZARD.replace("n += 1", f"n += 1  {GOOD}"),
        HAZARD.replace("    n += 1", f"    {GOOD}\n    n += 1"),
        HAZARD.replace("n = 0", f"n = 0  {GOOD}"),
        HAZARD.replace("n += 1", "n += 1  # lanewise: ok(FT104, FT101: only one thread writes)"),
    ],
)
def test_a_suppression_with_a_reason_is_followed(tmp_path: Path, source: str) -> None:
    report = audit(tmp_path, source)
    assert report.findings == ()
    assert report.suppressed == 1


@pytest.mark.parametrize(
    "comment",
    ["# lanewise: ok", "# lanewise: ok(FT101)", "# lanewise: ok(FT101:)", "#lanewise:ok(FT101: )"],
)
def test_a_suppression_without_a_reason_is_a_warning_and_not_followed(
    tmp_path: Path, comment: str
) -> None:
    report = audit(tmp_path, HAZARD.replace("n += 1", f"n += 1  {comment}"))
    assert [(f.rule, f.level) for f in report.findings] == [
        ("FT001", "warning"),
        ("FT101", "error"),
    ]


def test_a_suppression_that_nothing_needs_is_told(tmp_path: Path) -> None:
    report = audit(tmp_path, FINE + f"x = 1  {GOOD}\n")
    assert [(f.rule, f.level, f.line) for f in report.findings] == [("FT002", "info", 3)]


def test_a_suppression_of_another_rule_is_not_followed(tmp_path: Path) -> None:
    report = audit(tmp_path, HAZARD.replace("n += 1", "n += 1  # lanewise: ok(FT102: why)"))
    assert sorted(f.rule for f in report.findings) == ["FT002", "FT101"]


def test_a_string_that_looks_like_a_suppression_is_none(tmp_path: Path) -> None:
    report = audit(tmp_path, HAZARD.replace("n += 1", f"n += len('{GOOD}')"))
    assert [f.rule for f in report.findings] == ["FT101"]


# --- baseline -------------------------------------------------------------------------------------


def test_a_baseline_keeps_what_was_known_though_lines_move(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_project(tmp_path / "p", HAZARD)
    baseline = str(tmp_path / "known.json")
    assert main(["audit", str(root), "--baseline", baseline, "--write-baseline"]) == 0
    assert main(["audit", str(root), "--baseline", baseline]) == 0
    write_project(root, "\n\n" + HAZARD + "m = 0\ndef g():\n    global m\n    m += 1\n")
    capsys.readouterr()
    assert main(["audit", str(root), "--baseline", baseline, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [f["object"] for f in document["findings"]] == ["app.m"]
    assert document["known"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "does not exist"), ("{", "cannot be read"), ("[]", "no baseline"),
     ('{"schema": 99, "findings": []}', "schema 99")],
)  # fmt: skip
def test_a_baseline_that_is_none_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: str
) -> None:
    root = write_project(tmp_path / "p", HAZARD)
    baseline = tmp_path / "known.json"
    if text is not None:
        baseline.write_text(text, encoding="utf-8")
    assert main(["audit", str(root), "--baseline", str(baseline)]) == 2
    assert words in capsys.readouterr().err


def test_a_baseline_of_a_part_would_forget_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_project(tmp_path, HAZARD)
    assert main(["audit", str(root), "--write-baseline", "--rule", "FT101"]) == 2
    assert "would forget" in capsys.readouterr().err


# --- the verb -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "status"), [(HAZARD, 1), (FINE, 0), (MILD, 0)])
def test_the_exit_status_is_one_from_warnings_on(tmp_path: Path, source: str, status: int) -> None:
    assert main(["audit", str(write_project(tmp_path, source))]) == status


def test_the_text_names_place_object_fix_and_tally(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["audit", str(write_project(tmp_path, HAZARD + "def g():\n    global n\n    n += 1\n"))])
    text = capsys.readouterr().out
    for words in ("FT101 error", "app.py:4  app.n", "also app.py:7", "fix: ", "1 files, 7 lines: 1 error",
                  "--explain FT101"):  # fmt: skip
        assert words in text


def test_json_goes_to_the_output_alone_or_to_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_project(tmp_path / "p", HAZARD)
    assert main(["audit", str(root), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    [finding] = document["findings"]
    assert {k: finding[k] for k in ("rule", "level", "path", "line", "column", "object", "function")} == {
        "rule": "FT101", "level": "error", "path": "app.py", "line": 4, "column": 5,
        "object": "app.n", "function": "f",
    }  # fmt: skip
    assert finding["message"]
    assert finding["fix"]
    assert document["tally"] == {"critical": 0, "error": 1, "warning": 0, "info": 0}
    assert main(["audit", str(root), "--json", str(tmp_path / "a.json")]) == 1
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == document
    assert "FT101 error" in capsys.readouterr().out


def test_sarif_has_what_the_standard_demands(tmp_path: Path) -> None:
    root = write_project(tmp_path / "p", {"a b/é.py": HAZARD + MILD.replace("f(", "g(")})
    main(["audit", str(root), "--sarif", str(tmp_path / "a.sarif")])
    log = json.loads((tmp_path / "a.sarif").read_text(encoding="utf-8"))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("FT101", "error"),
        ("FT102", "note"),
    ]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        location = result["locations"][0]["physicalLocation"]
        assert location["artifactLocation"]["uri"] == "a%20b/%C3%A9.py"
        assert location["region"]["startLine"] >= 1
        assert location["region"]["startColumn"] >= 1
        assert result["partialFingerprints"]


@pytest.mark.parametrize("option", ["--json", "--sarif"])
@pytest.mark.parametrize("name", ["p", "p/app.py", "nowhere/a.json"])
def test_a_project_is_not_overwritten_with_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    root = write_project(tmp_path / "p", HAZARD)
    assert main(["audit", str(root), option, str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.startswith("lanewise: ")
    assert (root / "app.py").read_text(encoding="utf-8") == HAZARD


def test_level_and_rule_choose(tmp_path: Path) -> None:
    write_project(tmp_path, HAZARD + MILD.replace("f(", "g("))
    assert objects(tmp_path) == ["app.n", "app.cache"]
    assert objects(tmp_path, level="warning") == ["app.n"]
    assert objects(tmp_path, rules=("FT102",)) == ["app.cache"]


@pytest.mark.parametrize("arguments", [["--rule", "FT999"], ["--explain", "nonsense"]])
def test_an_unknown_rule_is_used_wrongly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["audit", str(write_project(tmp_path, FINE)), *arguments]) == 2
    assert "there are FT000" in capsys.readouterr().err


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_every_rule_has_a_page(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert page(rule).startswith(f"# {rule}: {next(r.title for r in RULES if r.id == rule)}")
    assert main(["audit", "--explain", rule.lower()]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"# {rule}: ")
    assert "Fix" in out


def test_nothing_of_the_project_is_imported(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    source = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n" + HAZARD
    assert objects(write_project(tmp_path / "p", source)) == ["app.n"]
    assert not marker.exists()
