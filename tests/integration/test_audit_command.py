"""``lanewise audit`` as people and machines call it, dependencies included."""

import json
import subprocess
import sys

import pytest

HAZARD = "total = 0\n\ndef hit():\n    global total\n    total += 1\n"


def audit(*arguments, cwd):
    command = [sys.executable, "-m", "lanewise", "audit", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "app.py").write_text(HAZARD)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["rich"]\n'
    )
    return tmp_path


def test_the_code_alone_is_audited_unless_more_is_asked_for(project):
    found = audit("--json", cwd=project)
    document = json.loads(found.stdout)
    assert found.returncode == 1
    assert "dependencies" not in document
    (finding,) = document["findings"]
    assert {"rule", "level", "path", "line", "object", "message", "fix"} <= set(finding)
    assert (finding["rule"], finding["level"], finding["line"]) == ("FT101", "error", 5)


def test_dependencies_begin_with_what_the_project_declares(project):
    pytest.importorskip("packaging")
    (project / "app.py").write_text("def hit():\n    return 1\n")
    (project / "inner").mkdir()
    (project / "inner" / "mod.py").write_text("LIMIT = 3\n")
    found = audit("inner", "--dependencies", "--json", cwd=project)
    names = {
        one["name"]: one["verdict"]
        for one in json.loads(found.stdout)["dependencies"]["distributions"]
    }
    assert found.returncode == 0, found.stderr
    assert names["rich"] == "pure"
    assert "markdown-it-py" in names
    assert "pytest" not in names
    text = audit("--dependencies", cwd=project).stdout
    assert "nothing found" in text
    assert "rich" in text


def test_an_interpreter_that_is_none_is_used_wrongly(project):
    pytest.importorskip("packaging")
    found = audit("--python", str(project / "no-such-python"), cwd=project)
    assert found.returncode == 2
    assert "no-such-python" in found.stderr


def test_this_project_holds_its_own_rules():
    import lanewise  # noqa: PLC0415 - because: only its place is wanted

    source = lanewise.__path__[0]
    found = audit(source, "--level", "warning", cwd=".")
    assert found.returncode == 0, found.stdout
