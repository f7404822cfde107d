"""``lanewise measure`` and its relatives when what they are given is broken, slow, wrong or deadly.

What is measured here takes little time and says little; whether figures are right is asked
elsewhere.
"""

import itertools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import troubled
from command_line import (
    BUDGET_S,
    FINE,
    FOUND,
    OVERRUN,
    QUICK,
    WRONG,
    lanes_of,
    lanewise,
    lanewise_process,
    measured,
    sizes_of,
    told,
    warned,
)

from lanewise.errors import MeasureError
from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.session import measure
from lanewise.testing import Leftovers

# --- what cannot be measured at all ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module:f", ["no module 'no_such_module'", "directory that holds it"]),
        ("troubled:helthy", ["has no 'helthy'", "did you mean 'healthy'?"]),
        ("troubled:NOT_A_FUNCTION", ["not a function"]),
        ("troubled:needs_inputs", ["declares no inputs", "--inputs"]),
        ("troubled.py:healthy", ["is a path", "troubled:"]),
        ("without_tasks", ["no task that declares inputs"]),
        ("broken_import:f", ["RuntimeError: no licence on this machine"]),
        ("needs_absent:f", ["needs 'lanewise_no_such_package'", "not installed"]),
        ("exits_on_import:f", ["not meant to be imported"]),
        ("troubled:", ["module:name"]),
    ],
)
def test_a_target_that_cannot_be_found_is_told_with_its_cure(target, words):
    run = lanewise("measure", target, *QUICK)
    message = told(run)
    assert run.returncode == WRONG, message
    for part in words:
        assert part in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lanes", "bogus"], ["bogus", "event_loop, thread, process"]),
        (["--lanes", ""], ["event_loop, thread, process"]),
        (["--sizes", "ten"], ["'ten' is not a size"]),
        (["--sizes", ","], ["names no size"]),
        (["--concurrency", "0"], ["from 1 to 1024"]),
        (["--concurrency", "1.5"], ["whole number"]),
        (["--budget", "0s"], ["not a duration"]),
        (["--budget", "1parsec"], ["not a duration"]),
        (["--budget", "1s"], ["too little", "2s"]),
        (["--loop-budget", "-1ms"], ["loop-budget"]),
        (["--inputs", "troubled"], ["module:name"]),
        (["--inputs", "troubled:NOT_A_FUNCTION"], ["not callable"]),
        (["--inputs", "troubled:nothing_there"], ["has no 'nothing_there'"]),
        (["--python", "/no/such/python"], ["/no/such/python", "cannot be started"]),
    ],
)
def test_an_option_that_makes_no_sense_is_told_before_anything_is_measured(options, words):
    run = lanewise("measure", "troubled:healthy", "--sizes", "10", *QUICK, *options)
    message = told(run)
    assert run.returncode == WRONG, message
    assert "measuring troubled" not in message
    for part in words:
        assert part in message


def test_an_unknown_variant_is_told_with_those_that_exist():
    run = lanewise("measure", "troubled:healthy", "--sizes", "10", "--variants", "agian", *QUICK)
    message = told(run)
    assert run.returncode in (FOUND, WRONG)
    assert "no variant agian" in message
    assert "default, again" in message


# --- what goes wrong while it is measured ---------------------------------------------------------


def test_a_function_that_always_raises_is_reported_and_the_exit_status_says_so():
    run = lanewise("measure", "troubled:raises", "--sizes", "10,100", *QUICK)
    message = told(run)
    assert run.returncode == FOUND
    assert "ValueError" in message
    assert "bad row in 10" in message
    assert "troubled.py" in message


def test_one_task_that_fails_does_not_keep_the_others_from_being_measured(tmp_path):
    out = tmp_path / "out.json"
    run = lanewise(
        "measure", "troubled:raises", "troubled:healthy", "--sizes", "10", *QUICK, "--json", out
    )
    assert run.returncode == FOUND, told(run)
    failed, good = json.loads(out.read_text())["tasks"]
    assert failed["error"]
    assert not good["error"]
    assert good["costs"]


@pytest.mark.parametrize("name", ["raises_at_100", "segfaults_at_100"])
def test_a_size_that_does_not_work_is_left_out_with_a_warning_and_the_others_are_measured(name):
    # A bench that dies is started anew, which on a busy machine takes a whole small budget.
    task = measured(name, sizes=(10, 100, 1000), lanes=("event_loop",), budget_s=15 * BUDGET_S)
    assert task.error is None
    assert sizes_of(task) == [10, 1000]
    assert "size 100" in warned(task)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("inputs_raise", ["inputs(100)", "KeyError", "'rows'"]),
        ("size_raises", ["size(...)", "TypeError"]),
        ("exits", ["exit code 5", "about to leave"]),
        ("segfaults", ["SIGSEGV"]),
        ("is_killed", ["SIGKILL"]),
        ("calls_sys_exit", ["SystemExit", "no more"]),
    ],
)
def test_what_went_wrong_at_every_size_is_told_in_its_own_words(name, words):
    task = measured(name, lanes=("event_loop",))
    assert not task.costs
    for part in words:
        assert part in task.error


def test_a_function_that_begins_to_raise_is_reported():
    task = measured("raises_later", lanes=("event_loop",))
    assert "the pool is exhausted" in f"{task.error}\n{warned(task)}"


@pytest.mark.parametrize(
    ("name", "what"), [("result_cannot_cross", "result"), ("argument_cannot_cross", "argument")]
)
def test_what_cannot_be_pickled_leaves_the_process_lane_out_and_says_why(name, what):
    # Enough for the lane that is left on a busy machine.
    task = measured(name, lanes=("thread", "process"), budget_s=5 * BUDGET_S)
    assert task.error is None
    assert lanes_of(task) == {"thread"}
    assert "not measured on the process lane" in warned(task)
    assert f"{what} cannot be pickled" in warned(task)
    assert {route.lane for route in task.routes} <= {"event_loop", "thread"}


# Of which a call gets a quarter: so much that one which a busy machine holds up is not taken for endless.
ENDLESS_BUDGET_S = 8 * BUDGET_S


def test_a_function_that_never_ends_is_stopped_and_larger_sizes_are_not_tried(
    tmp_path, monkeypatch
):
    log = tmp_path / "log"
    monkeypatch.setenv(troubled.LOG_VARIABLE, str(log))
    task = measured(
        "never_ends", sizes=(1, 2, 3, 4), lanes=("event_loop",), budget_s=ENDLESS_BUDGET_S
    )
    assert "did not return in time" in task.error
    assert log.read_text().split() == ["1"]
    assert task.elapsed_s / ENDLESS_BUDGET_S < OVERRUN


def test_sizes_at_which_a_function_does_not_end_are_left_out(tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setenv(troubled.LOG_VARIABLE, str(log))
    task = measured(
        "never_ends_from_100",
        sizes=(10, 100, 1000),
        lanes=("event_loop",),
        budget_s=ENDLESS_BUDGET_S,
    )
    assert task.error is None
    assert sizes_of(task) == [10]
    assert "did not return in time" in warned(task)
    assert "1000" not in log.read_text().split()
    assert task.elapsed_s / ENDLESS_BUDGET_S < OVERRUN


def test_a_function_that_prints_a_lot_is_measured_and_its_output_stays_out_of_the_result():
    run = lanewise_process("measure", "troubled:prints", "--sizes", "10", *QUICK, "--json")
    (task,) = json.loads(run.stdout)["tasks"]
    assert run.returncode == FINE
    assert task["costs"]
    assert "outout" not in run.stderr


def test_a_function_that_leaves_threads_behind_is_told_about():
    task = measured("leaves_a_thread", lanes=("event_loop",))
    assert task.costs
    assert "behind after a call" in warned(task)


def test_a_function_that_changes_its_arguments_gets_fresh_ones_on_every_lane():
    # Enough for every lane on a busy machine.
    task = measured("mutates", lanes=("event_loop", "thread", "process"), budget_s=6 * BUDGET_S)
    assert task.error is None
    assert "stopped early" not in warned(task)
    assert "changes its arguments" in warned(task)
    assert {variant.name: variant.status for variant in task.variants} == {
        "default": "ok",
        "gently": "ok",
    }
    assert lanes_of(task) == {"event_loop", "thread", "process"}


@pytest.mark.parametrize(
    ("name", "words"),
    [("raises_in_a_worker", "registry is empty here"), ("exits_in_a_worker", "died")],
)
def test_a_function_that_fails_only_in_worker_processes_is_measured_on_the_other_lanes(name, words):
    # Enough for a lane that has to be opened again on a busy machine.
    task = measured(name, lanes=("event_loop", "thread", "process"), budget_s=6 * BUDGET_S)
    assert task.error is None
    assert words in warned(task)
    assert lanes_of(task) == {"event_loop", "thread"}
    assert {route.lane for route in task.routes} <= {"event_loop", "thread"}


def test_a_variant_that_is_fast_and_wrong_is_refused():
    # Enough to try both variants, and to load the one that is right, on a busy machine.
    task = measured("has_wrong_variant", lanes=("event_loop",), budget_s=6 * BUDGET_S)
    (refused,) = [variant for variant in task.variants if variant.name == "fast_and_wrong"]
    assert refused.status == "refused"
    assert "differs" in refused.reason
    assert "got 42" in refused.reason
    for rows in (task.costs, task.lanes, task.routes):
        assert {row.variant for row in rows} == {"default"}


def test_a_variant_whose_package_is_missing_is_unavailable_and_says_how_to_get_it():
    task = measured("has_absent_variant", lanes=("event_loop",))
    (absent,) = [variant for variant in task.variants if variant.name == "absent"]
    assert absent.status == "unavailable"
    assert "pip install lanewise_no_such_package" in absent.reason
    assert {cost.variant for cost in task.costs} == {"default"}


def test_measuring_leaves_no_thread_and_no_process_behind_whatever_happened():
    before = Leftovers.now()
    measured.__wrapped__("raises_in_a_worker", sizes=(10,), lanes=("process",))
    with pytest.raises(MeasureError):
        measure(["no_such_module:f"], MeasureOptions())
    left = Leftovers.now().since(before)
    assert not left, str(left)


def test_an_interpreter_that_cannot_be_started_leaves_no_file_and_no_socket_behind(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MeasureError, match="cannot be started"):
        measure(["troubled:healthy"], MeasureOptions(), python="/no/such/python")
    assert list(tmp_path.iterdir()) == []


# --- a whole run with everything written ----------------------------------------------------------


# Enough for every lane to be loaded once where other programs take most of the cores.
WRITTEN_BUDGET_S = 15


@dataclass(frozen=True)
class Written:
    document: dict
    plan: Path
    report: Path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One healthy task, measured with all outputs asked for."""
    directory = tmp_path_factory.mktemp("written")
    plan, report = directory / "lanewise.toml", directory / "report.html"
    run = lanewise_process(
        *("measure", "troubled:healthy", "--variants", "default", "--sizes", "30,3000,60000"),
        *("--concurrency", "1,2", "--budget", f"{WRITTEN_BUDGET_S}s", "--json"),
        *("--plan", plan, "--report", report),
    )
    assert run.returncode == FINE, told(run)
    return Written(json.loads(run.stdout), plan, report)


KEYS = {
    "costs": "variant size wall_s cpu_s gil_held_share gil_handovers_per_s run_queue_s args_bytes "
    "result_bytes pickle_s",
    "lanes": "variant lane size concurrency throughput_per_s latency_p50_s latency_p95_s "
    "loop_lag_p99_s",
    "break_even": "concurrency from to size low high",
    "saturation": "lane size concurrency contention coherency",
    "routes": "concurrency min_size max_size lane variant reason",
}


@pytest.mark.parametrize("table", KEYS)
def test_the_json_has_every_figure_under_its_name(written, table):
    (task,) = written.document["tasks"]
    assert task[table], f"no row of {table}"
    for row in task[table]:
        assert set(KEYS[table].split()) <= row.keys()


def test_the_json_says_what_was_run_where_and_when(written):
    document = written.document
    assert document["schema"] == "lanewise.measure/1"
    assert document["interrupted"] is False
    assert document["host"]["usable_cores"] >= 1
    assert document["host"]["python_version"]
    assert document["command"].startswith("lanewise measure troubled:healthy")


def test_break_even_points_lie_within_their_intervals_and_within_the_sizes(written):
    (task,) = written.document["tasks"]
    for point in task["break_even"]:
        assert point["low"] <= point["size"] <= point["high"]
        assert 30 <= point["size"] <= 60_000


def test_routes_cover_every_size_without_gaps_and_give_a_reason(written):
    (task,) = written.document["tasks"]
    for concurrency in (1, 2):
        routes = [route for route in task["routes"] if route["concurrency"] == concurrency]
        assert routes[-1]["max_size"] is None
        for route, following in itertools.pairwise(routes):
            assert route["max_size"] == following["min_size"]
        assert all(route["reason"] for route in routes)


def test_a_task_keeps_to_its_budget(written):
    (task,) = written.document["tasks"]
    assert task["elapsed_s"] / WRITTEN_BUDGET_S < 1.5


def test_the_report_is_a_page_of_its_own(written):
    page = written.report.read_text()
    assert "<html" in page
    assert "troubled:healthy" in page


def test_nothing_but_the_outputs_is_left_in_their_directory(written):
    assert sorted(path.name for path in written.plan.parent.iterdir()) == [
        "lanewise.toml",
        "report.html",
    ]


def test_plan_show_explains_every_route(written):
    run = lanewise("plan", "show", written.plan)
    assert run.returncode == FINE
    assert "troubled:healthy" in told(run)
    assert "calls/s" in run.stdout


def test_plan_show_for_machines_gives_the_routes_of_the_measurement(written):
    shown = json.loads(lanewise("plan", "show", written.plan, "--json").stdout)
    (task,) = written.document["tasks"]

    def decisions(routes):
        return [(route["concurrency"], route["lane"], route["variant"]) for route in routes]

    assert decisions(shown["troubled:healthy"]) == decisions(task["routes"])


def test_plan_check_measures_again_and_compares(written):
    run = lanewise("plan", "check", written.plan, "--budget", "8s", "--json")
    found = json.loads(run.stdout)
    assert not found["errors"]
    assert found["compared"] > 0
    assert run.returncode == (FOUND if found["changes"] else FINE)


def test_plan_check_reports_a_task_that_can_no_longer_be_measured(written, tmp_path):
    text = written.plan.read_text().replace("troubled:healthy", "troubled:raises")
    gone = tmp_path / "gone.toml"
    gone.write_text(text)
    run = lanewise("plan", "check", gone, "--budget", "2s")
    assert run.returncode == FOUND
    assert "bad row" in told(run)


def test_plan_diff_of_a_plan_with_itself_finds_nothing(written):
    run = lanewise("plan", "diff", written.plan, written.plan, "--json")
    assert run.returncode == FINE
    assert json.loads(run.stdout)["changes"] == []


def test_plan_diff_tells_a_task_that_came_or_went(written, tmp_path):
    empty = tmp_path / "empty.toml"
    empty.write_text("schema = 1\n")
    run = lanewise("plan", "diff", written.plan, empty)
    assert run.returncode == FOUND
    assert "- troubled:healthy" in told(run)


def test_measuring_again_updates_the_plan_and_keeps_what_people_wrote(written, tmp_path):
    plan = tmp_path / "lanewise.toml"
    plan.write_text("# reviewed by Ada\n" + written.plan.read_text())
    run = lanewise("measure", "troubled:raises_at_100", "--sizes", "10", *QUICK, "--plan", plan)
    assert run.returncode == FINE, told(run)
    assert plan.read_text().startswith("# reviewed by Ada\n")
    shown = json.loads(lanewise("plan", "show", plan, "--json").stdout)
    assert shown.keys() == {"troubled:healthy", "troubled:raises_at_100"}


# --- outputs that cannot be written ---------------------------------------------------------------


@pytest.mark.parametrize("option", ["--plan", "--report", "--json"])
@pytest.mark.parametrize("place", ["missing/out", "a_file/out", "a_directory", "/proc/out"])
def test_an_output_that_cannot_be_written_is_refused_before_measuring(tmp_path, option, place):
    (tmp_path / "a_file").write_text("")
    (tmp_path / "a_directory").mkdir()
    run = lanewise("measure", "troubled:healthy", *QUICK, option, tmp_path / place)
    message = told(run)
    assert run.returncode == WRONG
    assert "measuring troubled" not in message
    assert place.removesuffix("/out") in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"schema = [", "not valid TOML"),
        (b"schema = 99\n", "newer"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'schema = 1\n[task."x"]\nhost = "h"\n', "x"),
    ],
)
@pytest.mark.parametrize("verb", ["measure", "show"])
def test_a_plan_that_is_broken_is_told_before_measuring_and_is_left_as_it_is(
    tmp_path, content, words, verb
):
    plan = tmp_path / "lanewise.toml"
    plan.write_bytes(content)
    arguments = {
        "measure": ["measure", "troubled:healthy", *QUICK, "--plan", plan],
        "show": ["plan", "show", plan],
    }
    run = lanewise(*arguments[verb])
    message = told(run)
    assert run.returncode == WRONG
    assert words in message
    assert "measuring troubled" not in message
    assert plan.read_bytes() == content


def test_plan_show_of_a_task_that_is_not_there_lists_those_that_are(written):
    run = lanewise("plan", "show", written.plan, "--task", "nothing")
    assert run.returncode == WRONG
    assert "troubled:healthy" in told(run)
