"""Whom time is charged to: the user's own functions, and nothing that nobody wrote."""

import pytest
from tests.unit.diagnosed import Recording, frame

from lanewise.diagnose.advice import advise_all
from lanewise.diagnose.places_of_code import charged, roots_of
from lanewise.diagnose.session import Frame
from lanewise.diagnose.summary import summarise_process

LIBRARY = "/srv/venv/lib/python3.13/site-packages/server/worker.py"
SERVE = frame("serve", 9, LIBRARY)
EXPORT = frame("export", 33)


def inner(name, around="export", line=34):
    return Frame("/srv/shop/app/views.py", line, name, f"{around}.<locals>.{name}", line)


def charged_of(*stack):
    return charged(stack, roots_of(stack))


@pytest.mark.parametrize("script", ["/srv/venv/bin/gunicorn", "/usr/local/bin/celery"])
def test_a_script_that_an_installer_made_is_nobodys(script):
    assert charged_of(SERVE, frame("<module>", 8, script)) == SERVE
    assert charged_of(EXPORT, SERVE, frame("<module>", 8, script)) == EXPORT


def test_a_program_of_the_users_own_is_theirs():
    program = frame("<module>", 8, "/srv/shop/bin/import_prices.py")
    assert charged_of(SERVE, program) == program


@pytest.mark.parametrize("name", ["<genexpr>", "<listcomp>", "<dictcomp>"])
def test_a_comprehension_is_part_of_the_function_around_it(name):
    assert charged_of(inner(name), EXPORT, SERVE) == EXPORT


def test_a_generator_that_others_run_is_charged_itself():
    lazy = inner("<genexpr>")
    assert charged_of(lazy, frame("consume", 50), EXPORT) == lazy


def test_a_function_inside_a_function_is_charged_itself():
    assert charged_of(inner("helper"), EXPORT) == inner("helper")


def test_what_a_class_generates_is_charged_to_its_user():
    made = Frame("<string>", 3, "__eq__", "__create_fn__.<locals>.__eq__", 1)
    assert charged_of(made, EXPORT) == EXPORT


def fight():
    recording = Recording()
    mine = [("python_gil", (EXPORT,)), ("gil_wait", (EXPORT,), {"call": "futex", "holder": 1})]
    recording.thread(mine * 200)
    recording.thread(mine[::-1] * 200)
    return summarise_process(recording.record)


def idle():
    recording = Recording(pid=1)
    recording.thread([("io_sleep", (SERVE,), {"call": "poll"})] * 400)
    return summarise_process(recording.record)


def test_what_several_workers_have_in_common_is_said_once():
    once, often = advise_all([fight()]), advise_all([idle(), fight(), fight()])
    assert [one.strategy for one in often] == [one.strategy for one in once]
    assert often[0].function == "export"


def test_processes_that_all_are_fine_are_told_so():
    assert {one.strategy for one in advise_all([idle(), idle()])} == {"stay"}


def test_functions_that_only_together_hold_the_lock_are_advised_together():
    recording = Recording()
    names = ["one", "two", "three", "four"]
    steps = [("python_gil", (frame(name, at * 10),)) for at, name in enumerate(names)] * 100
    waits = [("gil_wait", (EXPORT,), {"call": "futex"})]
    recording.thread([step for one in steps for step in (one, *waits)])
    recording.thread([step for one in steps for step in (*waits, one)])
    best, *others = advise_all([summarise_process(recording.record)])
    assert (best.function, best.strategy) == (None, "process")
    assert best.predicted_gain > 1.4 * max(
        one.predicted_gain for one in others if one.function and one.strategy == "process"
    )
    assert all(name in best.reason for name in names)
