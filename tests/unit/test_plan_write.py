"""Writing a plan: into what is there, without losing what others wrote."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from tests.unit.builders import exact_observations, make_calibration, make_cost, make_plan

from lanewise.errors import PlanError
from lanewise.plan.document import Plan
from lanewise.plan.write import to_toml

FULL = make_plan(
    make_cost(100.0, 1e-3, gil_held_share=0.42, gil_handovers_per_s=190.0, call_size=2400.0),
    make_cost(400.0, 5e-3, pickle_s=None, args_bytes=None, gil_held_share=None),
    make_cost(100.0, 2e-4, variant="native"),
    observations=exact_observations(make_plan(make_cost(100.0)), (1, 4)),
    unportable="an argument cannot be pickled (TypeError: cannot pickle '_thread.lock' object)",
    isolated=True,
    pinned="process",
    python="3.13.1",
    target="shop.rows:match",
    size_unit="bytes",
)


def plan_of(*tasks: object) -> Plan:
    return Plan({task.name: task for task in tasks})  # type: ignore[attr-defined]


def test_what_is_written_is_read_again() -> None:
    again = Plan.parse(to_toml(plan_of(FULL))).tasks["shop:match"]
    assert set(again.observations) == set(FULL.observations)
    for name in type(FULL).__dataclass_fields__:
        if name != "observations":
            assert getattr(again, name) == getattr(FULL, name), name


def test_writing_what_was_read_changes_nothing() -> None:
    text = to_toml(plan_of(FULL))
    assert to_toml(Plan.parse(text), text) == text
    assert to_toml(Plan.parse(text)) == text


def test_the_file_begins_with_what_it_is() -> None:
    first, *_ = to_toml(plan_of(FULL)).splitlines()
    assert first.startswith("#")
    assert tomllib.loads(to_toml(plan_of(FULL)))["schema"] == 1


def test_a_changed_cost_is_one_changed_line() -> None:
    costs = [make_cost(size) for size in (1.0, 2.0, 3.0)]
    before = to_toml(plan_of(make_plan(*costs)))
    after = to_toml(plan_of(make_plan(costs[0], make_cost(2.0, 7e-3), costs[2])), before)
    pairs = list(zip(before.splitlines(), after.splitlines(), strict=True))
    assert [new for old, new in pairs if old != new] == [
        line for line in after.splitlines() if "0.007" in line
    ]


def test_numbers_have_as_many_digits_as_a_reviewer_reads() -> None:
    text = to_toml(plan_of(make_plan(make_cost(3.0, 0.00123456789, gil_held_share=0.123456))))
    assert "wall_s = 0.00123," in text
    assert "gil_held_share = 0.12," in text
    assert "size = 3," in text


FOREIGN = """# Reviewed by the search team.
schema = 1

# The big host.
[host."Linux/test/4/3.13"]
transfer_bytes_per_s = 1
lanes = {}

# Untouched since spring.
[task."shop:other"]
host = "Linux/test/4/3.13" # same rack
usable_cores = 2
gil_enabled = true
loop_budget_s = 0.5
costs = [
    { variant = "default", size = 1, wall_s = 1, cpu_s = 1 }, # once
]

# Why this one matters: issue 12.
[task."shop:match"]
owner = "search team" # ask first
host = "Linux/test/4/3.13"
usable_cores = 1
gil_enabled = true
loop_budget_s = 0.001 # agreed
costs = [{ variant = "default", size = 1, wall_s = 1, cpu_s = 1 }]

[tool.other]
key = "value"
"""


def test_comments_survive_an_update() -> None:
    text = to_toml(plan_of(make_plan(make_cost(5.0))), FOREIGN)
    for comment in (
        "# Reviewed by the search team.",
        "# The big host.",
        "# Untouched since spring.",
        "# same rack",
        "# once",
        "# Why this one matters: issue 12.",
        "# ask first",
        "# agreed",
    ):
        assert comment in text


def test_other_tasks_and_keys_survive_an_update() -> None:
    text = to_toml(plan_of(make_plan(make_cost(5.0))), FOREIGN)
    before, after = tomllib.loads(FOREIGN), tomllib.loads(text)
    assert after["task"]["shop:other"] == before["task"]["shop:other"]
    assert after["tool"] == before["tool"]
    assert after["task"]["shop:match"]["owner"] == "search team"


def test_the_updated_task_says_the_new() -> None:
    plan = Plan.parse(to_toml(plan_of(make_plan(make_cost(5.0))), FOREIGN))
    assert plan.tasks["shop:match"].costs == (make_cost(5.0),)
    assert plan.tasks["shop:match"].usable_cores == 4
    assert plan.tasks["shop:match"].calibration == make_calibration()
    assert plan.tasks["shop:other"].usable_cores == 2


def test_a_pin_that_a_reviewer_wrote_survives_measuring_the_task_again() -> None:
    """The header promises it; what is measured anew knows nothing of the file's pin."""
    text = FOREIGN.replace('owner = "search team" # ask first', 'lane = "process" # see issue 12')
    again = to_toml(plan_of(make_plan(make_cost(5.0))), text)
    assert Plan.parse(again).tasks["shop:match"].pinned == "process"
    assert "# see issue 12" in again


def test_what_no_longer_holds_is_taken_out() -> None:
    text = to_toml(plan_of(FULL))
    again = Plan.parse(to_toml(plan_of(make_plan(make_cost(100.0))), text)).tasks["shop:match"]
    assert again.unportable is None
    assert not again.isolated
    assert again.observations == ()
    assert again.variants == ("default",)


def test_a_lane_that_has_become_available_is_no_longer_called_unavailable() -> None:
    text = to_toml(plan_of(make_plan()))
    lanes = {**make_calibration().lanes, "interpreter": make_calibration().lanes["thread"]}
    now = make_plan(calibration=make_calibration(lanes=lanes, unavailable={}))
    again = Plan.parse(to_toml(plan_of(now), text)).tasks["shop:match"].calibration
    assert again == now.calibration


@pytest.mark.parametrize("existing", [None, "", "  \n\n"])
def test_nothing_there_is_a_new_file(existing: str | None) -> None:
    assert to_toml(plan_of(FULL), existing) == to_toml(plan_of(FULL))


@pytest.mark.parametrize("existing", ["schema = = 1", "schema = 99\n", "[task.a]\n"])
def test_a_file_that_cannot_be_read_is_not_written_over(existing: str) -> None:
    with pytest.raises(PlanError, match="existing plan"):
        to_toml(plan_of(FULL), existing)


@pytest.mark.parametrize(
    "name",
    ["a.b.c:f", 'quo"ted:f', "größe:f", "with space:f", "m:Class.<locals>.f", "m:a\\b", "#:f"],
)
def test_any_name_of_a_task_survives(name: str) -> None:
    task = make_plan(name=name)
    assert list(Plan.parse(to_toml(plan_of(task))).tasks) == [name]
    assert list(Plan.parse(to_toml(plan_of(task), FOREIGN)).tasks) == [
        "shop:other",
        "shop:match",
        name,
    ]


def test_what_a_task_was_measured_with_is_kept_so_that_it_can_be_checked() -> None:
    plan = replace(make_plan(make_cost(10.0, 1e-3)), inputs="app.samples:rows", target="app:match")
    written = Plan.parse(to_toml(Plan({plan.name: plan}))).tasks[plan.name]
    assert (written.target, written.inputs) == ("app:match", "app.samples:rows")
    assert (
        Plan.parse(to_toml(Plan({plan.name: replace(plan, inputs=None)}))).tasks[plan.name].inputs
        is None
    )
