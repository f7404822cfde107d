"""What a program that is not limited by the lock waits for."""

import pytest
from tests.unit.diagnosed import IDLE, Recording, frame

from lanewise.diagnose.advice import load_of
from lanewise.diagnose.summary import summarise_process
from lanewise.diagnose.waiting import main_wait

STANDARD = "/usr/lib/python3.13"
SITE = "/srv/venv/lib/python3.13/site-packages"
MAIN = frame("main", 5)
HANDLER = frame("handler", 20)


def std(name, file):
    return frame(name, 1, f"{STANDARD}/{file}")


def lib(name, file):
    return frame(name, 1, f"{SITE}/{file}")


RECV = std("readinto", "socket.py")
JOIN = (std("join", "threading.py"), MAIN)
RESULT = (std("wait", "threading.py"), std("result", "concurrent/futures/_base.py"), MAIN)
GET = (std("wait", "threading.py"), std("get", "queue.py"), MAIN)
POOL = (
    std("wait", "threading.py"),
    std("get", "queue.py"),
    lib("run", "anyio/_backends/_asyncio.py"),
)
SYNC = (lib("wait", "gunicorn/workers/sync.py"), lib("run", "gunicorn/workers/sync.py"))
MYSQL = (
    RECV,
    lib("_read_bytes", "pymysql/connections.py"),
    lib("query", "pymysql/cursors.py"),
    HANDLER,
)
REQUESTS = (
    RECV,
    std("_read_status", "http/client.py"),
    lib("urlopen", "urllib3/connectionpool.py"),
    lib("get", "requests/api.py"),
    HANDLER,
)
MONGO = (RECV, std("read", "ssl.py"), lib("receive", "pymongo/network.py"), HANDLER)


def told(*threads):
    recording = Recording()
    for stack, call, asleep in threads:
        state = "lock_wait" if call == "futex" else "io_sleep"
        steps = [(state, stack, {"call": call})] * asleep
        recording.thread(steps + [("python_gil", (MAIN,))] * (400 - asleep))
    summary = summarise_process(recording.record)
    return main_wait(summary, load_of(summary))


@pytest.mark.parametrize("waits", [JOIN, RESULT, GET])
def test_who_waits_for_other_threads_of_the_program_waits_for_what_they_do(waits):
    words = told((waits, "futex", 400), (MYSQL, "recvfrom", 360))
    assert words == "you are waiting for the database (pymysql)."


def test_idle_threads_of_a_pool_say_nothing_beside_one_that_waits():
    pool = [(POOL, "futex", 400)] * 10
    assert "pymysql" in told(*pool, (MYSQL, "recvfrom", 380))


@pytest.mark.parametrize(("stack", "call"), [(POOL, "futex"), (SYNC, "select"), (IDLE, "epoll")])
def test_a_program_whose_threads_only_wait_for_work_is_idle(stack, call):
    assert told((stack, call, 398)) == "it is idle: its threads wait for something to do."


def test_idle_threads_do_not_make_a_computing_program_idle():
    assert told(*[(POOL, "futex", 400)] * 8, (MAIN, "sleep", 0)) == "it computes without it."


@pytest.mark.parametrize(
    ("stack", "name"), [(MYSQL, "pymysql"), (REQUESTS, "requests"), (MONGO, "pymongo")]
)
def test_the_driver_is_named_and_not_its_socket(stack, name):
    assert name in told((stack, "recvfrom", 390))


def test_a_pool_thread_with_work_waits_for_what_the_work_does():
    working = (frame("fetch", 9), HANDLER, lib("run", "anyio/_backends/_asyncio.py"))
    assert "recvfrom in fetch" in told((working, "recvfrom", 390))


def test_the_server_that_called_a_function_is_not_what_it_waits_for():
    stack = (HANDLER, lib("_handle", "aiohttp/web_app.py"))
    assert "sleep in handler" in told((stack, "sleep", 390))


def test_other_programs_are_waited_for_in_a_selector():
    stack = (std("select", "selectors.py"), std("communicate", "subprocess.py"), HANDLER)
    assert "other programs" in told((stack, "poll", 390))
