"""Whom a stall is put down to, and what is advised, from stacks that are known."""

from __future__ import annotations

import logging
import random

import pytest

from lanewise.runtime.loop_lag import Stall
from lanewise.runtime.stack_sampler import parse_dump
from lanewise.runtime.stall_advice import Scene, advise, advise_collection, advise_idle
from lanewise.runtime.stall_report import Late, Seen, StallLog, stall_of
from lanewise.runtime.stalls import (
    CUT,
    Frame,
    Look,
    Roots,
    Runner,
    blame,
    callback_of,
    holder,
    innermost,
    origin,
    thinned,
)
from lanewise.runtime.watchdog import _Episode

STANDARD = "/usr/lib/python3.13/"
SITE = "/venv/lib/python3.13/site-packages/"
ROOTS = Roots(
    own=(f"{SITE}lanewise/", f"{SITE}_lanewise_worker/"), library=(), standard=(STANDARD,)
)

MAIN = Frame("/app/main.py", 90, "<module>")
RUN = Frame(f"{STANDARD}asyncio/runners.py", 118, "run")
FOREVER = Frame(f"{STANDARD}asyncio/base_events.py", 640, "run_forever")
TURN = Frame(f"{STANDARD}asyncio/base_events.py", 1989, "_run_once")
SELECT = Frame(f"{STANDARD}selectors.py", 468, "select")
HANDLE = Frame(f"{STANDARD}asyncio/events.py", 88, "_run")
ASYNCIO = Runner(HANDLE.file, HANDLE.function)
UVLOOP = Runner(RUN.file, RUN.function)

FRAMEWORK = Frame(f"{SITE}starlette/routing.py", 70, "app")
HANDLER = Frame("/app/views.py", 12, "handler")
SCORE = Frame("/app/score.py", 7, "score")
DUMPS = Frame(f"{STANDARD}json/__init__.py", 231, "dumps")

ON_ASYNCIO = (MAIN, RUN, FOREVER, TURN)
ON_UVLOOP = (MAIN, RUN)


def looks(*stacks):
    return [Look(stack) for stack in stacks]


def scene(line, callback=(HANDLER,), *, frame=None, entry="", share=1.0, busy_share=None):
    return Scene(frame or callback[-1], line, callback, entry, share, busy_share)


def advice(line, callback=(HANDLER,), **options):
    return advise(scene(line, callback, **options), ROOTS)


# --- whose code it is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "whose"),
    [
        ("/app/views.py", "user"),
        ("<stdin>", "user"),
        ("<string>", "user"),
        (f"{STANDARD}json/encoder.py", "standard"),
        ("<frozen importlib._bootstrap>", "standard"),
        (f"{SITE}fastapi/routing.py", "library"),
        (f"{STANDARD}site-packages/yaml/reader.py", "library"),
        ("/usr/lib/python3/dist-packages/yaml/reader.py", "library"),
        (f"{SITE}lanewise/runtime/runtime.py", "own"),
        (f"{SITE}lanewise_extras/x.py", "library"),
    ],
)
def test_a_file_is_somebodys(file, whose):
    assert origin(file, ROOTS) == whose


def test_the_users_innermost_frame_goes_before_all_others():
    assert innermost((FRAMEWORK, HANDLER, SCORE, DUMPS), ROOTS) == SCORE
    assert innermost((FRAMEWORK, DUMPS), ROOTS) == FRAMEWORK
    assert innermost((HANDLE, DUMPS), ROOTS) == DUMPS
    assert innermost((), ROOTS) is None


# --- what the loop was running ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stack", "runner", "callback"),
    [
        ((*ON_ASYNCIO, HANDLE, FRAMEWORK, HANDLER), ASYNCIO, (FRAMEWORK, HANDLER)),
        ((*ON_ASYNCIO, HANDLE, HANDLER), None, (HANDLER,)),
        ((*ON_ASYNCIO, SELECT), ASYNCIO, None),
        (ON_ASYNCIO, ASYNCIO, None),
        ((MAIN, RUN, FOREVER), ASYNCIO, None),
        # A function written in C has no frame.
        ((*ON_ASYNCIO, HANDLE), ASYNCIO, ()),
        ((*ON_UVLOOP, FRAMEWORK, HANDLER), UVLOOP, (FRAMEWORK, HANDLER)),
        ((*ON_UVLOOP, HANDLER), None, (HANDLER,)),
        (ON_UVLOOP, UVLOOP, None),
        (ON_UVLOOP, None, None),
        # The user's own code runs the loop.
        ((MAIN,), Runner(MAIN.file, MAIN.function), None),
        ((MAIN, HANDLER), Runner(MAIN.file, MAIN.function), (HANDLER,)),
        # A handler that uses selectors itself is not the idle loop.
        ((*ON_ASYNCIO, HANDLE, HANDLER, SELECT), ASYNCIO, (HANDLER, SELECT)),
        # A loop in a loop: what counts is the inner one.
        ((*ON_ASYNCIO, HANDLE, HANDLER, FOREVER, TURN, SELECT), ASYNCIO, None),
        ((*ON_ASYNCIO, HANDLE, HANDLER, FOREVER, TURN, HANDLE, SCORE), ASYNCIO, (SCORE,)),
        # The loop's own callbacks are short: it was waiting for the lock in one.
        ((*ON_ASYNCIO, HANDLE, FOREVER._replace(function="call_soon")), ASYNCIO, None),
        # Deeper than can be seen.
        ((CUT, SCORE, SCORE), ASYNCIO, (CUT, SCORE, SCORE)),
        ((), ASYNCIO, None),
    ],
)
def test_what_lies_above_the_loop_is_what_it_ran(stack, runner, callback):
    assert callback_of(stack, runner) == callback


def test_the_function_seen_most_is_blamed_at_its_line_seen_most():
    stacks = [(*ON_ASYNCIO, HANDLE, HANDLER, SCORE._replace(line=line)) for line in (5, 7, 7, 9)]
    found = blame(looks(*stacks, (*ON_ASYNCIO, HANDLE, HANDLER)), ASYNCIO, ROOTS)
    assert found.frame == SCORE
    assert found.share == pytest.approx(0.8)
    assert found.callback == (HANDLER, SCORE)
    assert found.stack == stacks[1]


def test_the_user_who_started_the_loop_is_never_blamed():
    found = blame(looks((*ON_ASYNCIO, HANDLE, FRAMEWORK)), ASYNCIO, ROOTS)
    assert found.frame == FRAMEWORK


def test_a_loop_that_mostly_stood_at_its_selector_blames_nobody():
    idle, busy = (*ON_ASYNCIO, SELECT), (*ON_ASYNCIO, HANDLE, HANDLER)
    assert blame(looks(idle, idle, busy), ASYNCIO, ROOTS).frame is None
    assert blame(looks(idle, busy, busy), ASYNCIO, ROOTS).frame == HANDLER
    assert blame([], ASYNCIO, ROOTS).frame is None


def test_a_callback_written_in_c_is_blamed_at_the_loops_own_line():
    assert blame(looks((*ON_ASYNCIO, HANDLE)), ASYNCIO, ROOTS).frame == HANDLE


# --- who else kept the loop from running --------------------------------------------------------


def test_the_thread_that_computed_is_the_holder_not_the_many_that_waited():
    seen = [Look((), ((1, SCORE), (2, HANDLER), (3, HANDLER), (4, HANDLER)))] * 3
    assert holder(seen, {1: 0.4, 2: 0.0, 3: 0.0001, 4: 0.0}) == SCORE


def test_threads_that_all_waited_are_not_named():
    assert holder([Look((), ((2, HANDLER), (3, HANDLER)))], {2: 0.001, 3: 0.0}) is None
    assert holder([], {}) is None


def test_where_times_are_unknown_only_a_clear_majority_is_named():
    assert holder([Look((), ((1, SCORE), (2, HANDLER)))], {}) is None
    assert holder([Look((), ((1, SCORE),))], {}) == SCORE


# --- what to do about it ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "beyond", "remedy"),
    [
        ("time.sleep(1)", (), "time.sleep blocks the event loop: await asyncio.sleep"),
        ("sleep(delay)", (), "asyncio.sleep"),
        (
            "page = requests.get(url)",
            (f"{SITE}requests/api.py", f"{STANDARD}socket.py"),
            "requests.get blocks the event loop: await an asynchronous client",
        ),
        ("page = fetch(url)", (f"{SITE}urllib3/response.py",), "asyncio.to_thread"),
        ("rows = cursor.fetchall()", (), "asynchronous driver"),
        ("data = sock.recv(100)", (), "asyncio's streams"),
        ("text = open(path).read()", (), "asyncio.to_thread(…) for files"),
        ("text = path.read_text()", (f"{STANDARD}pathlib.py",), "for files"),
        ("subprocess.run(command)", (f"{STANDARD}subprocess.py",), "create_subprocess_exec"),
        ("thread.join()", (f"{STANDARD}threading.py",), "a lock of threads"),
        ("value = future.result()", (), "a lock of threads"),
    ],
)
def test_a_line_that_waits_is_told_how_to_wait(line, beyond, remedy):
    callback = (HANDLER, *(Frame(file, 1, "call") for file in beyond))
    assert remedy in advice(line, callback, frame=HANDLER, busy_share=0.02)
    assert remedy in advice(line, callback, frame=HANDLER)


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("return json.dumps(rows)", "json.dumps"),
        ("body = Response(orjson.dumps(rows))", "orjson.dumps"),
        ("if PATTERN.search(text) or re.match(p, text):", "re.match"),
        ("user = User.model_validate_json(body)", "User.model_validate_json"),
        ("digest = hashlib.sha256(data).hexdigest()", "hashlib.sha256"),
    ],
)
def test_a_call_that_computes_in_c_is_named_by_its_line(line, call):
    found = advice(line, busy_share=0.98)
    assert f"{call} computes on the event loop: await rt.run({call}, …)" in found


def test_what_is_moved_away_is_the_users_outermost_plain_function():
    found = advice("total += weight", (HANDLER, SCORE), entry="rank", busy_share=0.97)
    assert found == "CPU-bound code on the event loop: await rt.run(rank, …)"
    found = advice("json.dumps(rows)", (HANDLER, SCORE, DUMPS), frame=SCORE, entry="rank")
    assert found == "json.dumps computes on the event loop: await rt.run(rank, …)"


def test_code_in_a_coroutine_itself_must_become_a_function_first():
    assert "make a function of it" in advice("total += weight", busy_share=1.0)


def test_a_join_of_strings_is_no_join_of_threads():
    assert "lock of threads" not in advice("text = ', '.join(names)")


def test_a_line_that_looks_like_waiting_but_computed_is_told_so():
    assert "CPU-bound" in advice("text = buffer.read()", entry="parse", busy_share=0.95)


def test_a_wait_that_is_not_known_is_told_from_its_clock():
    found = advice("client.ask(question)", busy_share=0.01)
    assert found.startswith("client.ask waits")
    assert "asyncio.to_thread" in found


def test_a_call_whose_arguments_are_pickled_may_share_them():
    pickling = Frame(f"{SITE}lanewise/lanes/process/lane.py", 432, "_pickled")
    found = advice("await rt.run(match, rows)", (HANDLER, pickling), frame=HANDLER)
    assert "share()" in found
    assert "path" in found


def test_a_value_that_is_shared_beside_live_requests_is_shared_from_a_thread():
    sharing = Frame(f"{SITE}lanewise/lanes/process/lane.py", 331, "share")
    pickling = Frame(f"{SITE}lanewise/lanes/process/handles.py", 120, "_packed")
    found = advice("index = rt.share(array)", (HANDLER, sharing, pickling), frame=HANDLER)
    assert "asyncio.to_thread(rt.share" in found


def test_a_call_that_the_plan_sends_to_the_loop_is_measured_again():
    lane = Frame(f"{SITE}lanewise/lanes/event_loop.py", 60, "call_now")
    found = advice("total += weight", (HANDLER, lane, SCORE), entry="score", busy_share=1.0)
    assert "lanewise measure" in found


def test_a_debugger_is_not_advised_against_the_code_it_stopped():
    stopped = Frame(f"{STANDARD}pdb.py", 10, "interaction")
    found = advice("total += weight", (HANDLER, stopped), frame=HANDLER)
    assert found == "a debugger or a prompt stopped the event loop"


def test_a_framework_that_encodes_responses_is_given_bytes():
    encoding = Frame(f"{SITE}fastapi/encoders.py", 200, "jsonable_encoder")
    assert "Response of the bytes" in advice("encoded = jsonable_encoder(value)", (encoding,))


def test_many_callbacks_in_a_row_are_told_apart_from_one():
    assert "many pieces of code" in advice("x += 1", entry="f", share=0.1, busy_share=1.0)


def test_a_loop_that_got_no_lock_is_told_who_had_it():
    found = advise_idle(SCORE, 0.01, seen=True, ran=True, gil=True)
    assert "/app/score.py:7 score" in found
    assert "GIL" in found
    assert "lane='process'" in found


def test_without_the_lock_only_cores_are_short():
    assert "GIL" not in advise_idle(None, 0.01, seen=True, ran=True, gil=False)


def test_a_process_that_did_not_run_blames_no_thread():
    found = advise_idle(SCORE, 0.0, seen=True, ran=False, gil=True)
    assert "whole process" in found
    assert "score" not in found


def test_a_loop_that_computed_unseen_is_not_said_to_have_waited():
    assert "computed" in advise_idle(None, 0.9, seen=False, ran=True, gil=True)


def test_a_collection_is_named_with_its_time():
    assert "573 ms" in advise_collection(0.573)
    assert "gc.freeze()" in advise_collection(0.573)


# --- the report ---------------------------------------------------------------------------------


def seen(*stacks, busy_share=None, starved_share=0.0):
    return Seen(
        tuple(looks(*stacks)),
        len(stacks),
        ASYNCIO,
        busy_share,
        {},
        ran=True,
        starved_share=starved_share,
    )


def source(tmp_path, text):
    path = tmp_path / "views.py"
    path.write_text(text)
    return str(path)


def test_a_report_reads_the_line_and_finds_what_to_move(tmp_path):
    file = source(
        tmp_path,
        "def compute(n):\n"
        "    return inner(n)\n"
        "def inner(n):\n"
        "    return n * n\n"
        "async def handler(n):\n"
        "    return compute(n)\n",
    )
    callback = (Frame(file, 6, "handler"), Frame(file, 2, "compute"), Frame(file, 4, "inner"))
    late = Late(due_s=10.0, late_s=0.4, at_s=1000.0, gc_s=0.0)
    found = stall_of(late, seen((*ON_ASYNCIO, HANDLE, *callback), busy_share=1.0), ROOTS)
    assert found.where == f"{file}:4 inner"
    assert "rt.run(compute, …)" in found.advice
    assert (found.at_s, found.duration_s, found.samples, found.where_share) == (1000.0, 0.4, 1, 1.0)
    assert found.stack[-1] == f"{file}:4 inner"


@pytest.mark.parametrize(("starved_share", "blamed"), [(0.8, False), (0.2, True)])
def test_a_loop_that_lacked_a_core_is_told_so_and_no_line_is_blamed(starved_share, blamed):
    late = Late(due_s=10.0, late_s=0.4, at_s=1000.0, gc_s=0.0)
    stacks = (*ON_ASYNCIO, HANDLE, HANDLER)
    found = stall_of(late, seen(stacks, busy_share=1.0, starved_share=starved_share), ROOTS)
    assert ("no core" in found.advice) is not blamed
    assert ("80%" in found.advice) is not blamed


def test_a_report_without_source_still_names_the_place():
    late = Late(due_s=10.0, late_s=0.4, at_s=1000.0, gc_s=0.0)
    found = stall_of(late, seen((*ON_ASYNCIO, HANDLE, HANDLER)), ROOTS)
    assert found.where == "/app/views.py:12 handler"
    assert found.advice


def test_a_stall_that_was_mostly_a_collection_blames_no_code():
    late = Late(due_s=10.0, late_s=0.4, at_s=1000.0, gc_s=0.3)
    found = stall_of(late, seen((*ON_ASYNCIO, HANDLE, HANDLER)), ROOTS)
    assert found.where == ""
    assert found.advice.startswith("the garbage collector ran for 300 ms of it")


def test_a_place_is_logged_once_a_minute_and_the_others_are_counted(caplog):
    log = StallLog()
    one = Stall(0.0, 0.2, "/app/views.py:12 handler", "await it")
    elsewhere_in_it = Stall(0.0, 0.2, "/app/views.py:13 handler", "await it")
    with caplog.at_level(logging.WARNING, logger="lanewise"):
        log.tell(one, 100.0)
        log.tell(elsewhere_in_it, 130.0)
        log.tell(one, 159.0)
        assert len(caplog.records) == 1
        log.tell(Stall(0.0, 0.2, "/app/score.py:7 score", "await it"), 159.0)
        log.tell(one, 160.5)
    first, other, again = [record.getMessage() for record in caplog.records]
    assert "200 ms at /app/views.py:12 handler: await it" in first
    assert "score" in other
    assert "2 more" in again


def test_the_log_remembers_a_bounded_number_of_places(caplog):
    log = StallLog()
    with caplog.at_level(logging.CRITICAL, logger="lanewise"):
        for number in range(1000):
            log.tell(Stall(0.0, 0.2, f"/app/x.py:1 f{number}", ""), 0.0)
    assert len(log._told) <= 256


# --- what the watchdog keeps --------------------------------------------------------------------


def test_an_endless_stall_keeps_few_looks_and_their_shares():
    episode = _Episode(due_s=0.0, period_s=0.02)
    busy, idle = Look((*ON_ASYNCIO, HANDLE, HANDLER)), Look((*ON_ASYNCIO, SELECT))
    now_s, an_hour_s, dice = 0.0, 3600.0, random.Random(1)
    while now_s < an_hour_s:
        episode.add(busy if dice.random() < 0.75 else idle, now_s, 0.0)
        now_s += episode.pause_s
    assert len(episode.looks) < 64
    assert episode.count < 1000
    assert episode.pause_s <= 60
    assert blame(episode.looks, ASYNCIO, ROOTS).frame == HANDLER


def test_thinning_keeps_every_second_look():
    all_looks = [Look((SCORE._replace(line=line),)) for line in range(5)]
    assert [look.stack[0].line for look in thinned(all_looks)] == [0, 2, 4]


def test_a_look_that_took_long_is_followed_by_a_longer_pause():
    episode = _Episode(due_s=0.0, period_s=0.02)
    episode.add(Look(()), 1.0, cost_s=0.1)
    assert episode.pause_s == pytest.approx(0.9)
    episode.add(Look(()), 2.0, cost_s=0.0001)
    assert episode.pause_s == pytest.approx(0.02)


def test_a_look_after_the_beat_does_not_count():
    episode = _Episode(due_s=0.0, period_s=0.02)
    episode.add(Look((HANDLER,)), 1.0, 0.0)
    episode.add(Look((SELECT,)), 1.5, 0.0)
    episode.end(came_s=1.2)
    assert episode.looks == [Look((HANDLER,))]
    assert episode.count == 1


# --- what faulthandler writes -------------------------------------------------------------------

DUMP = """\
Thread 0x00007f1e0d7fe6c0 [pool-1] (most recent call first):
  File "/app/score.py", line 7 in score
  File "/app/na\\xefve \\u2211.py", line 3 in <lambda>

Thread 0x00007f1e0dfff6c0 (most recent call first):
  File "/app/deep.py", line 2 in down
  ...

Thread 0x00007f1e0e0006c0 (most recent call first):
  <no Python frame>

Current thread 0x00007f1e16c9e740 (most recent call first):
  File "/app/a "quoted" name.py", line ??? in f
"""


def test_a_dump_is_read_from_the_outermost_frame_in():
    assert parse_dump(DUMP) == {
        0x7F1E0D7FE6C0: (Frame("/app/naïve ∑.py", 3, "<lambda>"), SCORE),
        0x7F1E0DFFF6C0: (CUT, Frame("/app/deep.py", 2, "down")),
        0x7F1E0E0006C0: (),
        0x7F1E16C9E740: (Frame('/app/a "quoted" name.py', 0, "f"),),
    }


def test_a_dump_that_says_nothing_is_no_stack():
    assert parse_dump("") == {}
    assert parse_dump("Fatal Python error\n  File nonsense\n") == {}
