"""`lanewise diagnose --capture` keeps the arguments of real calls, and `lanewise measure` takes them."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from lanewise.cli.main import main
from lanewise.host.facts import gil_enabled

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other processes are read through /proc"),
    pytest.mark.skipif(not gil_enabled(), reason="there is no lock to look at"),
]
SHOP = """
def total(rows, token):
    return sum(row["price"] for row in rows)

class Basket:
    def add(self, row):
        return row
"""
PROGRAM = """
import sys, threading, time
import shop
import sitecustomize

assert sitecustomize.REAL

def local(text):
    return text * 2

def work():
    while True:
        for size in (10, 100, 1_000):
            shop.total([{"name": "secret name", "price": 3, "api_key": "geheim"}] * size, "geheim")
            local("abc")
            shop.Basket().add(1)
            time.sleep(0.01)

threading.Thread(target=work, daemon=True).start()
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "program.py").write_text(PROGRAM)
    real = tmp_path / "real"
    real.mkdir()
    # A program that has a module of that name already keeps it.
    (real / "sitecustomize.py").write_text("REAL = True\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(real), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diagnosed(folder, agrees, *options):
    """What is found, looked for longer where a busy machine has not let the program get far enough."""
    for duration in ("2s", "8s", "30s"):
        shutil.rmtree(folder / "lanewise-captured", ignore_errors=True)
        status, found = diagnosed_once(folder, duration, *options)
        if agrees({one["target"]: one for one in found["captured"]}):
            break
    return status, found


def diagnosed_once(folder, duration, *options):
    path = folder / "found.json"
    status = main(
        [
            "diagnose",
            "--duration",
            duration,
            "--json",
            str(path),
            *options,
            "--",
            sys.executable,
            "program.py",
        ]
    )
    return status, json.loads(path.read_text())


def test_arguments_of_real_calls_are_kept_without_secrets_and_can_be_measured(folder):
    targets = ("shop:total", "program:local", "shop:Basket.add", "shop:absent")
    options = [word for target in targets for word in ("--capture", target)]

    def agrees(kept):
        others = kept["program:local"]["sizes"] and kept["shop:Basket.add"]["unfit"]
        return others and len(kept["shop:total"]["sizes"]) == 3

    status, found = diagnosed(folder, agrees, *options)
    assert status == 0
    kept = {one["target"]: one for one in found["captured"]}
    assert len(kept["shop:total"]["sizes"]) == 3
    assert len(kept["program:local"]["sizes"]) == 1
    assert not kept["shop:Basket.add"]["sizes"]
    assert "shop.Basket" in next(iter(kept["shop:Basket.add"]["unfit"]))
    assert not kept["shop:absent"]["sizes"]
    made = folder / "lanewise-captured"
    files = sorted(made.iterdir())
    assert [file.suffix for file in files].count(".pickle") == 2
    assert not any(b"geheim" in file.read_bytes() for file in files)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files if file.suffix == ".pickle")
    # What measure does with them: a call for each size, in a process that has only the folder.
    sizes = kept["shop:total"]["sizes"]
    asked = (
        f"import shop, captured_shop_total as c; print([shop.total(*c.inputs(s)) for s in {sizes}])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "PYTHONPATH": f"{made}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(answer.stdout) == [30, 300, 3000]
    assert "captured_shop_total:inputs" in kept["shop:total"]["verify"]


def test_calls_that_are_too_large_are_left_out(folder):
    def agrees(kept):
        return kept["shop:total"]["sizes"] and kept["shop:total"]["unfit"]

    _, found = diagnosed(folder, agrees, "--capture", "shop:total", "--capture-limit", "5000")
    [kept] = found["captured"]
    assert max(kept["sizes"]) <= 5000
    assert "larger than 5000 bytes" in next(iter(kept["unfit"]))


@pytest.mark.parametrize(
    "options",
    [["--pid", "1", "--capture", "a:b"], ["--capture", "a", "--", "python", "program.py"]],
)
def test_used_wrongly_is_told(options, capsys):
    assert main(["diagnose", *options]) == 2
    assert "--capture" in capsys.readouterr().err
