"""The process between a lane and its cluster, with a module in Ray's place: how it begins and ends."""

import asyncio
import os
import pickle
import signal
import socket
from pathlib import Path

import pytest

from lanewise.lanes.cluster import connection, gateway, protocol
from lanewise.lanes.cluster.connection import Connection
from lanewise.lanes.cluster.crew import Crew
from lanewise.lanes.cluster.gateway import Gateway
from lanewise.lanes.cluster.link import Link

_SOURCE = str(Path(gateway.__file__).parents[3])

# What the real one does on SIGTERM: it ends the process.
_JOINS = """
import signal, sys
def init(**_):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
def nodes():
    return []
def wait(*_, **__):
    return [], []
def shutdown():
    pass
"""
_JOINS_FOR_EVER = """
import os, pathlib, subprocess, time
def init(**options):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    path = pathlib.Path(options["_temp_dir"], "pid")
    path.with_suffix(".new").write_text(str(child.pid))
    path.with_suffix(".new").rename(path)
    time.sleep(600)
"""
_NOT_TO_BE_IMPORTED = "raise RuntimeError('imported')"


class Started:
    """A gateway that has a program in Ray's place."""

    def __init__(self, ray, folder, address):
        (folder / "fake").mkdir()
        (folder / "fake" / "ray.py").write_text(ray)
        self.directory = folder / "private"
        self.directory.mkdir()
        self.environment = dict(os.environ)
        self.environment["PYTHONPATH"] = os.pathsep.join([str(folder / "fake"), _SOURCE])
        self.settings = {
            "address": address,
            "cpus": 1,
            "object_store_bytes": 1_000_000,
            "code": [],
            "directory": str(self.directory) if address == "local" else "",
            "parent": os.getpid(),
        }

    async def __aenter__(self):
        self.said = asyncio.Queue()
        self.link = Link(
            asyncio.get_running_loop(),
            lambda kind, _number, _seq, body: self.said.put_nowait((kind, bytes(body))),
            lambda: self.said.put_nowait((None, b"")),
        )
        await self.link.start(self.environment)
        self.link.send(protocol.SETTINGS, parts=[pickle.dumps(self.settings)])
        return self

    async def __aexit__(self, *_):
        await self.link.end(0)

    async def ended(self):
        """Wait for its end; return its exit code."""
        return await asyncio.to_thread(self.link.process.wait)

    async def child(self):
        """Wait until it has begun to join; return the process id of what it has started."""
        path = self.directory / "pid"
        while not path.exists():  # noqa: ASYNC110 - because: another process writes it
            await asyncio.sleep(0.01)
        return int(path.read_text())


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


async def test_a_gateway_outlives_a_service_manager_that_ends_all_processes_at_once(tmp_path):
    async with Started(_JOINS, tmp_path, "auto") as started:
        assert (await started.said.get())[0] == protocol.OPENED
        os.kill(started.link.process.pid, signal.SIGTERM)
        started.link.send(protocol.DROP, 1)
        started.link._channel.shutdown(socket.SHUT_WR)
        assert await started.ended() == 0


@pytest.mark.parametrize("how", ["its socket is closed", "it is gone"])
async def test_a_gateway_whose_program_goes_while_it_joins_leaves_nothing(tmp_path, how):
    started = Started(_JOINS_FOR_EVER, tmp_path, "local")
    if how == "it is gone":
        started.settings["parent"] = 1
        (started.directory / "pid").write_text("0")
    async with started:
        child = await started.child()
        if how != "it is gone":
            assert _runs(child)
            started.link._loop.remove_reader(started.link._fd)
            started.link._channel.shutdown(socket.SHUT_RDWR)
        assert await started.ended() == 1
        assert not (child and _runs(child))
        assert not started.directory.exists()


async def test_modules_of_the_directory_that_a_program_runs_in_are_not_the_gateways(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mmap.py").write_text(_NOT_TO_BE_IMPORTED)
    async with Started(_JOINS, tmp_path, "auto") as started:
        assert await started.said.get() == (protocol.OPENED, b"")


async def test_an_address_where_nothing_listens_is_told_before_ray_is_imported(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with Started(_NOT_TO_BE_IMPORTED, tmp_path, address) as started:
            kind, words = await started.said.get()
    assert kind == protocol.TROUBLE
    assert b"ConnectionRefusedError" in words


def test_looking_around_goes_on_whatever_it_meets_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(gateway, "_LOOK_S", 0)
    looks = []

    class FakeRay:
        def nodes(self):
            looks.append(1)
            if len(looks) == 4:
                subject._over.set()
                return []
            raise ConnectionError("the head does not answer")

    channel, other = socket.socketpair()
    with channel, other:
        subject = Gateway(FakeRay(), {"directory": ""}, channel, channel)
        began_s = subject._seen_s
        subject._look_around()
    assert len(looks) == 4
    assert subject._seen_s > began_s
    assert capsys.readouterr().err.count("ConnectionError: the head does not answer") == 1


async def test_a_lost_gateway_is_started_anew_whatever_went_wrong(monkeypatch, caplog):
    monkeypatch.setattr(connection, "_FIRST_RETRY_S", 0)
    monkeypatch.setattr(connection, "_LAST_RETRY_S", 0)
    loop = asyncio.get_running_loop()
    subject = Connection(loop, Crew(loop), {"address": "auto"}, lambda _: None)
    failures, begun = [RuntimeError("first"), OSError("second")], asyncio.Event()

    async def begin():
        if failures:
            raise failures.pop(0)
        subject._ended.clear()
        subject._link = object()
        begun.set()

    async def end(_grace_s):
        subject._link = None
        raise RuntimeError("third")

    monkeypatch.setattr(subject, "_begin", begin)
    monkeypatch.setattr(subject, "_end", end)
    subject.keep()
    await begun.wait()
    subject._keeping.cancel()
    await asyncio.wait([subject._keeping])
    assert all(words in caplog.text for words in ("first", "second", "third"))
