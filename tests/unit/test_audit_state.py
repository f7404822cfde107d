"""FT108 to FT110: the process's state, thread-locals set at import, resources cached without a lock."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import Pair, audit, check_pair, of_rule

CHANGES = [
    ("import os", "os.chdir('/tmp')"),
    ("import os", "os.environ['A'] = 'b'"),
    ("import os", "del os.environ['A']"),
    ("from os import environ", "environ.update(A='b')"),
    ("import os as o", "o.umask(0)"),
    ("import locale", "locale.setlocale(locale.LC_ALL, 'C')"),
    ("import warnings", "warnings.simplefilter('ignore')"),
    ("from warnings import catch_warnings", "catch_warnings()"),
    ("from contextlib import redirect_stdout", "redirect_stdout(None)"),
    ("import sys", "sys.stdout = None"),
    ("import random", "random.seed(1)"),
    ("import numpy as np", "np.random.seed(1)"),
    ("import socket", "socket.setdefaulttimeout(1)"),
    ("import gc", "gc.disable()"),
    ("import signal", "signal.signal(signal.SIGINT, None)"),
]


@pytest.mark.parametrize(("imports", "statement"), CHANGES)
def test_process_wide_state_is_told_where_a_task_reaches_it(
    tmp_path: Path, imports: str, statement: str
) -> None:
    source = f"{imports}\nfrom lanewise import task\ndef helper():\n    {statement}\n"
    reached = audit(tmp_path / "reached", source + "@task\ndef work():\n    helper()\n")
    [finding] = of_rule(reached, "FT108")
    assert finding.level == "warning"
    assert finding.reachable_from is not None
    assert finding.reachable_from.startswith("task work ")
    assert of_rule(audit(tmp_path / "not", source + "def work():\n    helper()\n"), "FT108") == []


@pytest.mark.parametrize(
    "args", ["locale.LC_ALL", "locale.LC_ALL, None", "locale.LC_ALL, locale=None"]
)
def test_to_ask_for_the_locale_changes_nothing(tmp_path: Path, args: str) -> None:
    source = (
        "import locale\nfrom lanewise import task\n"
        f"@task\ndef work():\n    return locale.setlocale({args})\n"
    )
    assert of_rule(audit(tmp_path, source), "FT108") == []


WAYS = [
    ("task with options", "from lanewise import task\n@task(timeout_s=2)\ndef go():\n    helper()\n"),
    ("flask", "@app.route('/x')\ndef go():\n    helper()\n"),
    ("fastapi", "@router.get('/x')\ndef go():\n    helper()\n"),
    ("celery", "@shared_task\ndef go():\n    helper()\n"),
    ("celery app", "@celery.task(bind=True)\ndef go(self):\n    helper()\n"),
    ("django urls", "urlpatterns = [path('x', go)]\ndef go(request):\n    helper()\n"),
    ("django view", "class Page(View):\n    def get(self, request):\n        helper()\n"),
    ("middleware", "class M:\n    def __init__(self, get_response):\n        pass\n"
     "    def __call__(self, request):\n        helper()\n"),
    ("starlette", "routes = [Route('/x', go)]\nasync def go(request):\n    helper()\n"),
    ("aiohttp", "app.router.add_get('/x', go)\nasync def go(request):\n    helper()\n"),
    ("thread", "import threading\ndef start():\n    threading.Thread(target=helper).start()\n"),
    ("thread class", "from threading import Thread\nclass T(Thread):\n    def run(self):\n"
     "        helper()\n"),
    ("submit", "def start(pool):\n    pool.submit(helper)\n"),
    ("map", "def start(pool):\n    pool.map(helper, [])\n"),
    ("to_thread", "import asyncio\nasync def start():\n    await asyncio.to_thread(helper)\n"),
    ("executor", "def start(loop):\n    loop.run_in_executor(None, helper)\n"),
    ("runtime", "async def start(rt):\n    await rt.run(helper)\n"),
    ("partial", "from functools import partial\ndef start(pool):\n    pool.submit(partial(helper))\n"),
    ("lambda", "def start(pool):\n    pool.submit(lambda: helper())\n"),
    ("method", "class W:\n    def start(self, pool):\n        pool.submit(self.work)\n"
     "    def work(self):\n        self.deeper()\n    def deeper(self):\n        helper()\n"),
    ("method of an unknown object", "class W:\n    def tidy_up(self):\n        helper()\n"
     "@app.get('/')\ndef go(w):\n    w.tidy_up()\n"),
    ("property", "class W:\n    @property\n    def x(self):\n        helper()\n    @app.get('/')\n"
     "    def go(self):\n        return self.x\n"),
    ("overridden method", "class A:\n    @app.get('/')\n    def go(self):\n        self.step()\n"
     "    def step(self):\n        pass\nclass B(A):\n    def step(self):\n        helper()\n"),
    ("constructor", "class C:\n    def __init__(self):\n        helper()\n"
     "@app.get('/')\ndef go():\n    C()\n"),
]  # fmt: skip

NO_WAYS = [
    ("isolated task", "from lanewise import task\n@task(isolation='required')\ndef go():\n    helper()\n"),
    ("process lane", "from lanewise import task\n@task(lane='process')\ndef go():\n    helper()\n"),
    ("process pool", "from concurrent.futures import ProcessPoolExecutor\ndef start():\n"
     "    with ProcessPoolExecutor() as pool:\n        pool.submit(helper)\n"),
    ("plain get", "@cache.get\ndef go():\n    helper()\n"),
    ("subprocess.run", "import subprocess\ndef go():\n    subprocess.run(helper)\n"),
    ("builtin map", "def go():\n    return list(map(helper, []))\n"),
    ("a method name of the standard types", "class W:\n    def update(self):\n        helper()\n"
     "@app.get('/')\ndef go(d):\n    d.update()\n"),
    ("main", "def main():\n    helper()\nif __name__ == '__main__':\n    main()\n"),
]  # fmt: skip

HELPER = "import os\ndef helper():\n    os.chdir('/tmp')\n"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
def test_ways_that_lead_to_a_thread(tmp_path: Path, way: tuple[str, str]) -> None:
    [finding] = of_rule(audit(tmp_path, HELPER + way[1]), "FT108")
    assert finding.function == "helper"


@pytest.mark.parametrize("way", NO_WAYS, ids=lambda way: way[0])
def test_ways_that_do_not(tmp_path: Path, way: tuple[str, str]) -> None:
    assert of_rule(audit(tmp_path, HELPER + way[1]), "FT108") == []


LOCAL = "import threading\nlocal = threading.local()\n"

LOCAL_PAIRS = [
    Pair(
        "set at import, read in a function",
        "local.user",
        LOCAL + "local.user = None\ndef who():\n    return local.user\n",
        LOCAL + "local.user = None\ndef who():\n    return getattr(local, 'user', None)\n",
        "error",
    ),
    Pair(
        "the function sets it first",
        "local.user",
        LOCAL + "local.user = 1\ndef who():\n    return local.user\n",
        LOCAL + "local.user = 1\ndef who(u):\n    local.user = u\n    return local.user\n",
    ),
    Pair(
        "the class sets it for each thread",
        "local.user",
        LOCAL + "local.user = 1\ndef who():\n    return local.user\n",
        "import threading\nclass Mine(threading.local):\n    def __init__(self):\n"
        "        self.user = 1\nlocal = Mine()\nlocal.user = 2\ndef who():\n    return local.user\n",
    ),
    Pair(
        "an initializer sets it",
        "local.user",
        LOCAL + "local.user = 1\ndef who():\n    return local.user\n",
        LOCAL + "local.user = 1\ndef begin():\n    local.user = 2\n"
        "def start():\n    return Pool(initializer=begin)\ndef who():\n    return local.user\n",
    ),
    Pair(
        "its absence is caught",
        "local.user",
        LOCAL + "local.user = 1\ndef who():\n    return local.user\n",
        LOCAL + "local.user = 1\ndef who():\n    try:\n        return local.user\n"
        "    except AttributeError:\n        return None\n",
    ),
    Pair(
        "a context variable",
        "app.user",
        "from contextvars import ContextVar\nuser = ContextVar('user')\nuser.set(1)\n"
        "def who():\n    return user.get()\n",
        "from contextvars import ContextVar\nuser = ContextVar('user', default=0)\nuser.set(1)\n"
        "def who():\n    return user.get()\n",
    ),
]


@pytest.mark.parametrize("pair", LOCAL_PAIRS, ids=lambda pair: pair.name)
def test_a_thread_local_value_of_the_importing_thread(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT109", pair)


PROPERTY_PAIRS = [
    Pair(
        "cached_property that connects",
        "Db.conn",
        "from functools import cached_property\nclass Db:\n    @cached_property\n    def conn(self):\n"
        "        return connect()\n",
        "from functools import cached_property\nclass Db:\n    @cached_property\n    def name(self):\n"
        "        return self.first + self.last\n",
        "warning",
    ),
    Pair(
        "cached_property that opens a file, by way of a function",
        "Log.file",
        "from functools import cached_property\nclass Log:\n    @cached_property\n    def file(self):\n"
        "        return begin(self.path)\ndef begin(path):\n    return open(path)\n",
        "from functools import cached_property\nclass Log:\n    @cached_property\n    def file(self):\n"
        "        return begin(self.path)\ndef begin(path):\n    return path.parent\n",
        "warning",
    ),
    Pair(
        "with a lock inside",
        "Db.pool",
        "import functools\nclass Db:\n    @functools.cached_property\n    def pool(self):\n"
        "        return ConnectionPool()\n",
        "import functools\nclass Db:\n    @functools.cached_property\n    def pool(self):\n"
        "        with self._lock:\n            return ConnectionPool()\n",
        "warning",
    ),
    Pair(
        "__getattr__ that keeps what it opens",
        "Db.__getattr__",
        "class Db:\n    def __getattr__(self, name):\n        value = open_session(name)\n"
        "        self.__dict__[name] = value\n        return value\n",
        "class Db:\n    def __getattr__(self, name):\n        with self._lock:\n"
        "            value = open_session(name)\n            self.__dict__[name] = value\n"
        "            return value\n",
        "warning",
    ),
    Pair(
        "a module's __getattr__",
        "app.__getattr__",
        "def __getattr__(name):\n    globals()[name] = client = make_client(name)\n    return client\n",
        "def __getattr__(name):\n    globals()[name] = value = name.upper()\n    return value\n",
        "warning",
    ),
]


@pytest.mark.parametrize("pair", PROPERTY_PAIRS, ids=lambda pair: pair.name)
def test_a_resource_cached_without_a_lock(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT110", pair)
