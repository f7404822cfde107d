"""From a recording to documents, conditions, comparisons, advice and pages."""

import json

import pytest
from tests.unit.diagnosed import IDLE, Recording, callback, frame, session

from lanewise.diagnose.advice import advise, load_of
from lanewise.diagnose.compare import compare_sessions
from lanewise.diagnose.exports import firefox, speedscope
from lanewise.diagnose.gate import check, parse_condition
from lanewise.diagnose.page import render_page
from lanewise.diagnose.session import SCHEMA, Session
from lanewise.diagnose.states import COLUMNS
from lanewise.diagnose.summary import document, summarise, summarise_process
from lanewise.errors import DiagnoseError

ENCODER = frame("encode", 200, "/usr/lib/python3.13/json/encoder.py")
EXPORT = frame("export", 33)
VIEW = frame("view", 12)
NASTY = frame("<script>alert(1)</script>", 1, "/srv/</title><b>.py")


def two_threads_fight(cores=2):
    recording = Recording(cores=cores)
    stack = (ENCODER, EXPORT, VIEW)
    mine = [("native_gil", stack), ("gil_wait", stack, {"call": "futex", "holder": 1})] * 200
    other = [("gil_wait", stack, {"call": "futex", "holder": 0}), ("native_gil", stack)] * 200
    recording.thread(mine, "one")
    recording.thread(other, "two")
    return recording


def stalled_loop():
    recording = Recording()
    steps = [("io_sleep", IDLE, {"call": "epoll"})] * 60
    steps += [("io_sleep", callback(EXPORT), {"call": "sleep"})] * 40
    recording.thread(steps * 5)
    return recording


def waiting_for_the_database():
    recording = Recording()
    driver = frame("wait", 9, "/srv/venv/lib/python3.13/site-packages/psycopg/waiting.py")
    recording.thread(
        [("io_sleep", (driver, EXPORT), {"call": "poll"})] * 380 + [("python_gil", (EXPORT,))] * 20
    )
    return recording


def test_library_time_is_charged_to_the_users_function_that_called():
    summary = summarise_process(two_threads_fight().record)
    [function] = summary.functions
    assert function.frame == EXPORT
    assert function.shares["native_gil"] == pytest.approx(1.0, abs=0.02)
    assert function.shares["gil_wait"] == pytest.approx(1.0, abs=0.02)
    assert function.threads == 2


def test_who_waits_for_whom_is_told_with_the_holders_place():
    summary = summarise_process(two_threads_fight().record)
    pairs = {(one.waiter, one.holder, one.frame) for one in summary.waits}
    assert pairs == {(0, 1, EXPORT), (1, 0, EXPORT)}


def test_what_the_loop_ran_is_told_by_its_outermost_function():
    recording = Recording()
    stack = callback(ENCODER, EXPORT, VIEW)
    recording.thread([("native_gil", stack)] * 50 + [("io_sleep", IDLE, {"call": "epoll"})] * 50)
    [task] = summarise_process(recording.record).callbacks
    assert task.frame == VIEW
    assert task.shares["native_gil"] == pytest.approx(0.5)


def test_the_document_has_the_promised_form():
    made = session(stalled_loop())
    found = document(made, summarise(made), [])
    assert set(found["process"]) >= {"gil_held_share", "loop_lag_p99_s"}
    assert found["process"]["loop_lag_p99_s"] == pytest.approx(0.2, abs=0.01)
    for row in found["threads"]:
        assert set(row) >= {"native_id", "name", "shares"}
        assert tuple(row["shares"]) == COLUMNS
    for row in found["functions"]:
        assert set(row) >= {"function", "path", "line", "shares"}
    for row in found["stalls"]:
        assert set(row) >= {"start_s", "duration_s", "path", "line", "function", "cause"}
    assert found["source"] == "debug-offsets"


def test_how_often_it_really_was_looked_at_is_told():
    assert summarise_process(two_threads_fight().record).looks_per_s == pytest.approx(200.0)


def test_a_session_comes_back_from_its_file_as_it_was(tmp_path):
    made = session(two_threads_fight(), stalled_loop())
    path = tmp_path / "session.json"
    made.save(path)
    assert Session.load(path) == made
    assert json.loads(path.read_text())["schema"] == SCHEMA


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other/1"}', f'{{"schema": "{SCHEMA}"}}'])
def test_what_is_no_session_is_refused_in_words(tmp_path, text):
    path = tmp_path / "session.json"
    path.write_text(text)
    with pytest.raises(DiagnoseError, match="session"):
        Session.load(path)


@pytest.mark.parametrize(
    ("condition", "failed"),
    [
        ("gil_held:app.views.export>0.1", True),
        ("gil_held:views.export>0.1", True),
        ("gil_held:app.views.view>0.9", True),  # it only calls export, and counts with it
        ("gil_held:port>0.1", False),  # names are compared whole
        ("gil_held:other.export>0.1", False),
        ("gil_held>0.99", True),
        ("gil_held<=0.5", False),
        ("gil_wait:export>=3", False),
        ("loop_lag_p99_ms>20", False),  # there is no loop
    ],
)
def test_conditions_are_compared_with_what_was_seen(condition, failed):
    [verdict] = check([parse_condition(condition)], [summarise_process(two_threads_fight().record)])
    assert verdict.failed is failed


def test_lag_is_compared_in_the_unit_of_the_condition():
    summary = summarise_process(stalled_loop().record)
    verdicts = check(
        [parse_condition(text) for text in ("loop_lag_p99_ms>20", "loop_lag_p99_s>20")], [summary]
    )
    assert [one.failed for one in verdicts] == [True, False]


@pytest.mark.parametrize(
    "text", ["", "gil_held", "speed>3", "loop_lag_p99_ms:f>3", "gil_held>many"]
)
def test_a_condition_that_cannot_be_checked_is_refused(text):
    with pytest.raises(DiagnoseError):
        parse_condition(text)


def test_two_threads_that_fight_for_the_lock_belong_in_processes():
    summary = summarise_process(two_threads_fight().record)
    best, *others = advise(summary)
    assert (best.function, best.strategy) == ("export", "process")
    assert best.predicted_gain == pytest.approx(2.0, abs=0.05)
    assert best.verify == "lanewise measure app.views:export --inputs MODULE:CALLABLE"
    assert {one.strategy for one in others} >= {"variant", "free_threaded"}


def test_with_one_core_nothing_is_promised():
    summary = summarise_process(two_threads_fight(cores=1).record)
    assert load_of(summary).gain(0.0) == pytest.approx(1.0, abs=0.01)


def test_a_loop_stalled_by_a_blocking_call_is_told_to_use_a_thread():
    best, *_ = advise(summarise_process(stalled_loop().record))
    assert (best.function, best.strategy) == ("export", "thread")
    assert best.predicted_loop_lag_p99_s < 0.01


def test_waiting_for_the_database_is_not_the_locks_fault():
    [only] = advise(summarise_process(waiting_for_the_database().record))
    assert only.strategy == "stay"
    assert (
        only.reason
        == "Nothing here is limited by the GIL; you are waiting for the database (psycopg)."
    )


def test_too_little_seen_is_too_noisy_to_say():
    recording = Recording()
    recording.thread([("python_gil", (EXPORT,))] * 20)
    [only] = advise(summarise_process(recording.record))
    assert only.strategy == "unclear"
    assert only.reason.startswith("too noisy to say")


def test_a_busy_machine_is_too_noisy_to_say():
    recording = Recording()
    recording.thread([("python_gil", (EXPORT,)), ("python_gil", (EXPORT,), {"queued": True})] * 200)
    [only] = advise(summarise_process(recording.record))
    assert "waited for a core" in only.reason


def test_on_a_busy_machine_a_blocking_call_is_as_clear():
    recording = Recording()
    steps = [("python_gil", callback(VIEW), {"queued": True})] * 60
    steps += [("io_sleep", callback(EXPORT), {"call": "sleep"})] * 40
    recording.thread(steps * 5)
    first, last = advise(summarise_process(recording.record))
    assert (first.function, first.strategy, last.strategy) == ("export", "thread", "unclear")


def test_a_session_does_not_differ_from_itself():
    summaries = [summarise_process(stalled_loop().record)]
    assert {one.sense for one in compare_sessions(summaries, summaries)} == {"same"}


def test_what_got_better_is_told():
    before, after = (
        summarise_process(one.record) for one in (stalled_loop(), waiting_for_the_database())
    )
    changes = {one.what: one for one in compare_sessions([before], [after])}
    assert changes["loop stalled"].sense == "other"  # there is no loop any more
    fight = summarise_process(two_threads_fight().record)
    changes = {one.what: one for one in compare_sessions([fight], [after])}
    assert changes["gil_wait"].sense == "better"


def test_speedscope_gets_every_second_of_every_thread():
    made = session(two_threads_fight())
    found = speedscope(made, summarise(made))
    assert [profile["endValue"] for profile in found["profiles"]] == pytest.approx([2.0, 2.0])
    for profile in found["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert max(max(stack) for stack in profile["samples"]) < len(found["shared"]["frames"])


def test_the_firefox_profiler_gets_tables_that_refer_to_each_other():
    made = session(stalled_loop())
    found = firefox(made, summarise(made))
    [thread] = found["threads"]
    stacks, frames = thread["stackTable"]["data"], thread["frameTable"]["data"]
    assert all(row[0] is None or row[0] < at for at, row in enumerate(stacks))
    assert all(row[1] < len(frames) for row in stacks)
    assert all(row[0] < len(thread["stringTable"]) for row in frames)
    assert all(row[0] < len(stacks) for row in thread["samples"]["data"])
    assert len(thread["markers"]["data"]) == 5
    json.dumps(found, allow_nan=False)


def test_the_page_trusts_no_name_and_fetches_nothing():
    recording = Recording()
    recording.thread([("python_gil", (NASTY, EXPORT))] * 300)
    made = session(recording)
    summaries = summarise(made)
    page = render_page(made, summaries, advise(summaries[0]))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_draws_stalls_and_stacks():
    made = session(stalled_loop())
    summaries = summarise(made)
    page = render_page(made, summaries, advise(summaries[0]))
    assert page.count('class="stall"') == 5
    assert "export" in page
    assert "blocking call (sleep)" in page
