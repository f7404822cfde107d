"""Reading a plan file: what is written is meant, and what is wrong is told with line and cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.builders import make_plan

from lanewise.errors import PlanError
from lanewise.plan.choose import choose
from lanewise.plan.compare import machine_for
from lanewise.plan.document import Plan

HOST = """schema = 1

[host."Linux/cpu/4/3.13"]
transfer_bytes_per_s = 1e9
lanes = { thread = { dispatch_s = 6e-5, per_call_s = 2e-5 } }
unavailable = { interpreter = "needs Python 3.14" }
"""
TASK = """
[task."shop:match"]
target = "shop.rows:match"
size_unit = "bytes"
host = "Linux/cpu/4/3.13"
python = "3.13.1"
usable_cores = 4
gil_enabled = true
loop_budget_s = 0.001
costs = [
    { variant = "default", size = 100, wall_s = 0.002, cpu_s = 0.001, gil_held_share = 0.9 },
    { variant = "default", size = 400, call_size = 3200, wall_s = 0.008, cpu_s = 0.004 },
]
observed = [
    { variant = "default", lane = "thread", concurrency = 4, sizes = [
        100, 400,
    ], efficiency = [0.9, 0.8], spread = [0.1, 0.05], loop_lag_s = [0, 0.002] },
]
"""
TEXT = HOST + TASK


def edited(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def refusal(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        Plan.parse(text, source="lanewise.toml")
    return str(caught.value)


def line_of(text: str, words: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_everything_that_is_written_is_read() -> None:
    (task,) = Plan.parse(TEXT).tasks.values()
    assert (task.name, task.target, task.size_unit) == ("shop:match", "shop.rows:match", "bytes")
    assert (task.usable_cores, task.gil_enabled, task.loop_budget_s) == (4, True, 0.001)
    assert (task.python, task.pinned, task.isolated, task.unportable) == (
        "3.13.1",
        None,
        False,
        None,
    )
    assert task.calibration.fingerprint == "Linux/cpu/4/3.13"
    assert task.calibration.lanes["thread"].per_call_s == 2e-5
    assert task.calibration.unavailable == {"interpreter": "needs Python 3.14"}
    assert task.calibration.transfer_bytes_per_s == 1e9
    first, second = task.costs
    assert (first.size, first.call_size, first.wall_s, first.cpu_s) == (100.0, 100.0, 0.002, 0.001)
    assert (first.gil_held_share, first.pickle_s) == (0.9, None)
    assert (second.call_size, second.gil_held_share) == (3200.0, None)
    assert [
        (one.size, one.efficiency, one.spread, one.loop_lag_s) for one in task.observations
    ] == [
        (100.0, 0.9, 0.1, 0.0),
        (400.0, 0.8, 0.05, 0.002),
    ]
    assert {(one.lane, one.concurrency) for one in task.observations} == {("thread", 4)}


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('lane = "process"', "pinned", "process"),
        ("isolated = true", "isolated", True),
        ('unportable = "holds a lock"', "unportable", "holds a lock"),
    ],
)
def test_a_line_below_the_task_is_read(line: str, field: str, value: object) -> None:
    plan = Plan.parse(edited('python = "3.13.1"', line))
    assert getattr(plan.tasks["shop:match"], field) == value


def test_a_plan_without_tasks_is_a_plan() -> None:
    assert Plan.parse("schema = 1\n").tasks == {}


def test_keys_that_are_not_known_are_left_to_their_writer() -> None:
    assert Plan.parse(edited('python = "3.13.1"', 'owner = "search team"')).tasks.keys() == {
        "shop:match"
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "schema = 1"),
        ('schema = "1"\n', "schema = 1"),
        ("schema = 0\n", "schema = 1"),
        ("schema = true\n", "schema = 1"),
        ("schema = 2\n", "newer"),
        ("schema = 1\ntask = 5\n", "task must be a table"),
        ("schema = 1\nhost = 5\n", "host must be a table"),
        ("schema = 1\ntask.x = 5\n", "x must be a table"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_a_cure(text: str, what: str) -> None:
    message = refusal(text)
    assert what in message
    assert "Cure: " in message


def test_toml_that_is_broken_is_told_with_the_line() -> None:
    text = edited("usable_cores = 4", "usable_cores = = 4")
    message = refusal(text)
    assert f"line {line_of(text, '= =')}" in message
    assert "lanewise.toml" in message
    assert "lanewise measure" in message


def test_a_newer_schema_is_told_with_its_line_and_the_upgrade() -> None:
    message = refusal("# a comment\n\nschema = 7\n")
    assert message.startswith("lanewise.toml, line 3: ")
    assert "upgrade lanewise" in message


@pytest.mark.parametrize(
    "key", ["host", "usable_cores", "gil_enabled", "loop_budget_s", "costs"], ids=str
)
def test_a_missing_key_is_told_with_the_line_of_its_task_and_the_cure(key: str) -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith(f"{key} =")]
    text = (
        "\n".join(lines)
        if key != "costs"
        else re.sub(r"costs = \[.*?\n\]\n", "", TEXT, flags=re.DOTALL)
    )
    message = refusal(text)
    assert message.startswith(f"lanewise.toml, line {line_of(text, '[task.')}: ")
    assert repr(key) in message
    assert "measure it again" in message


@pytest.mark.parametrize("key", ["variant", "size", "wall_s", "cpu_s"])
def test_a_missing_column_of_the_costs_is_told(key: str) -> None:
    text = re.sub(rf"{key} = [^,]+, (?=.*gil_held)", "", TEXT)
    if text == TEXT:
        text = re.sub(rf", {key} = [^,]+(?=.*gil_held)", "", TEXT)
    message = refusal(text)
    assert message.startswith(f"lanewise.toml, line {line_of(text, '[task.')}: ")
    assert repr(key) in message


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('python = "3.13.1"', 'lane = "threads"', "'threads'"),
        ('lane = "thread", concurrency', 'lane = "fibre", concurrency', "'fibre'"),
        ("wall_s = 0.002", "wall_s = 0", "wall_s"),
        ("wall_s = 0.002", "wall_s = -0.002", "wall_s"),
        ("wall_s = 0.002", "wall_s = nan", "wall_s"),
        ("wall_s = 0.002", "wall_s = inf", "wall_s"),
        ("wall_s = 0.002", 'wall_s = "slow"', "cannot be read"),
        ("gil_held_share = 0.9", 'gil_held_share = "most"', "gil_held_share"),
        ("efficiency = [0.9, 0.8]", "efficiency = [0.9]", "cannot be read"),
        ("efficiency = [0.9, 0.8]", "efficiency = [0.9, 0]", "efficiency"),
        ("efficiency = [0.9, 0.8]", "efficiency = 0.9", "cannot be read"),
        ("concurrency = 4", "concurrency = 0", "concurrency"),
        ("usable_cores = 4", "usable_cores = 0", "usable_cores"),
        ("usable_cores = 4", 'usable_cores = "all"', "all"),
        ("gil_enabled = true", 'gil_enabled = "no"', "gil_enabled"),
        ("loop_budget_s = 0.001", 'loop_budget_s = "1ms"', "1ms"),
        ("transfer_bytes_per_s = 1e9", "transfer_bytes_per_s = 0", "transfer_bytes_per_s"),
        ("per_call_s = 2e-5", 'per_call_s = "fast"', "fast"),
        ("{ thread = {", "{ threads = {", "threads"),
        ('host = "Linux/cpu/4/3.13"', 'host = "Linux/other"', '[host."Linux/other"]'),
    ],
)
def test_a_value_that_cannot_be_is_told_with_the_line_of_its_task_and_a_cure(
    old: str, new: str, what: str
) -> None:
    text = edited(old, new)
    message = refusal(text)
    assert message.startswith(f"lanewise.toml, line {line_of(text, '[task.')}: ")
    assert what in message
    assert "Cure: " in message


def test_a_task_with_empty_costs_is_told_as_such() -> None:
    text = re.sub(r"costs = \[.*?\n\]\n", "costs = []\n", TEXT, flags=re.DOTALL)
    message = refusal(text)
    assert "costs is empty" in message
    assert message.startswith(f"lanewise.toml, line {line_of(text, '[task.')}: ")


@pytest.mark.parametrize("other", ["bookshop:match", "shop:match2", "x.shop:match"])
def test_the_line_is_that_of_the_task_and_not_of_one_with_a_similar_name(other: str) -> None:
    text = HOST + TASK.replace("shop:match", other) + TASK.replace("usable_cores = 4\n", "")
    expected = line_of(text, '[task."shop:match"]')
    assert f"line {expected}: task shop:match" in refusal(text)


def test_the_line_of_the_schema_is_not_that_of_a_task_with_such_a_name() -> None:
    text = TEXT.replace("schema = 1", "schema = 7").replace("shop:match", "shop:schema")
    assert refusal(text).startswith("lanewise.toml, line 1: schema 7 is newer")


def test_a_missing_file_is_answered_with_how_to_write_one(tmp_path: Path) -> None:
    path = tmp_path / "lanewise.toml"
    with pytest.raises(PlanError, match=r"lanewise\.toml cannot be read.*lanewise measure"):
        Plan.load(path)


def test_a_directory_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.load(tmp_path)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lanewise.toml"
    path.write_bytes(b"schema = 1 # \xff\n")
    with pytest.raises(PlanError, match="UTF-8"):
        Plan.load(path)


def test_a_file_is_read_like_its_text(tmp_path: Path) -> None:
    path = tmp_path / "lanewise.toml"
    path.write_text(TEXT, encoding="utf-8")
    assert Plan.load(path).tasks == Plan.parse(TEXT).tasks
    assert Plan.load(path).source == str(path)


def test_a_plan_that_was_read_decides() -> None:
    (task,) = Plan.parse(TEXT).tasks.values()
    assert choose(task, 200.0, 4, machine_for(task), task.loop_budget_s).contender.lane == "thread"


def test_the_other_plan_wins_where_both_know_a_task() -> None:
    ours = Plan({"a": make_plan(name="a", target="ours"), "b": make_plan(name="b")})
    theirs = Plan({"a": make_plan(name="a", target="theirs"), "c": make_plan(name="c")})
    merged = ours.merged(theirs)
    assert sorted(merged.tasks) == ["a", "b", "c"]
    assert merged.tasks["a"].target == "theirs"
    assert ours.tasks["a"].target == "ours"
