"""Start one build of the service as its users would: a server process on a loopback port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import lanewise

import supplyr
from supplyr_load import processes

ServerName = Literal["uvicorn", "granian"]
_APP = "supplyr_load.builds:create"
_START_S = 60.0
# A proxy between us and a loopback address would only be in the way.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(RuntimeError):
    """The server did not start; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which service is started.

    Attributes:
        build: One of SUPPLYR's builds, see supplyr_load.builds.BUILDS.
        data_dir: The directory with the embedded database.
        processes: Worker processes for heavy work.
        server: Which ASGI server.
        environment: More variables, such as SUPPLYR_START_METHOD.
        python: The interpreter; another one finds our packages where this one does.
    """

    build: str
    data_dir: Path
    processes: int = 1
    server: ServerName = "uvicorn"
    environment: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable


def end_on_sigterm() -> None:
    """Let SIGTERM end this program as an exception does, so that no server outlives it."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(server: ServerName, port: int, python: str = sys.executable) -> list[str]:
    """Return the command line of a server; access logs are off in every build alike."""
    where = ["--host", "127.0.0.1", "--port", str(port)]
    if server == "granian":
        return [
            *(python, "-m", "granian", "--interface", "asgi", "--factory", *where),
            *("--workers", "1", "--no-access-log", "--log-level", "warning"),
            *("--workers-kill-timeout", "3", _APP),
        ]
    return [
        *(python, "-m", "uvicorn", "--factory", *where, "--no-access-log"),
        *("--log-level", "warning", "--timeout-graceful-shutdown", "3", _APP),
    ]


def package_path(python: str) -> dict[str, str]:
    """Return the environment in which another interpreter finds lanewise, SUPPLYR and this."""
    if python == sys.executable:
        return {}
    folders = [str(Path(str(module.__file__)).parent.parent) for module in (lanewise, supplyr)]
    return {"PYTHONPATH": os.pathsep.join([*folders, str(Path(__file__).parent.parent)])}


class Server:
    """A running build. owner: the thread that entered it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = free_port()
        self.mark = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        self._words: Path | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it is ready."""
        options = self.options
        options.data_dir.mkdir(parents=True, exist_ok=True)
        self._words = options.data_dir / f"server-{self.mark[:8]}.log"
        environment = {
            **os.environ,
            "SUPPLYR_DATA_DIR": str(options.data_dir),
            "SUPPLYR_PROCESSES": str(options.processes),
            "SUPPLYR_BUILD": options.build,
            # One address sends everything here, which no person does.
            "SUPPLYR_SEARCH_PER_MINUTE": "100000000",
            "SUPPLYR_WRITE_PER_MINUTE": "100000000",
            "SUPPLYR_LOGIN_PER_MINUTE": "100000000",
            "SUPPLYR_JOBS_PER_USER": "100000000",
            "SUPPLYR_UPLOAD_QUOTA_BYTES": "1000000000000",
            # Nothing begins by itself while something is measured.
            "SUPPLYR_RANK_EVERY_HOURS": "0",
            processes.MARK: self.mark,
            **package_path(options.python),
            **options.environment,
        }
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(  # noqa: S603 - because: our own command line
                command(options.server, self.port, options.python),
                env=environment,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
        self._await_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, whatever state it is in, and everything that it started."""
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.wait(10)
        processes.kill_marked(self.mark)
        processes.gone_within(self.mark, 10)
        if self._process is not None:
            self._process.wait()
        if self._words is not None and error is None:
            self._words.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server's process alone."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; subprocess.TimeoutExpired where it does not come."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def get(self, path: str, timeout_s: float = 5.0) -> Any:
        """Return the JSON of an address of the service."""
        return json.loads(self.send("GET", path, timeout_s=timeout_s)[1])

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> tuple[int, bytes]:
        """Return status and body; a status that is an error is no exception here."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers or {}, method=method
        )
        try:
            with _OPENER.open(asked, timeout=timeout_s) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def state(self) -> dict[str, Any]:
        """Return what the build says of itself, see supplyr_load.builds."""
        told: dict[str, Any] = self.get("/compare/state", timeout_s=30.0)
        return told

    def await_calm(self, timeout_s: float = 60.0) -> float:
        """Wait until no heavy work is left; return how long that took, in seconds."""
        begun = time.monotonic()
        while time.monotonic() - begun < timeout_s:
            with suppress(OSError):
                if self.state()["in_flight"] == 0:
                    return time.monotonic() - begun
            time.sleep(0.05)
        return time.monotonic() - begun

    def last_words(self) -> str:
        """Return the end of what the server wrote."""
        if self._words is None or not self._words.exists():
            return ""
        return self._words.read_text("utf-8", "replace")[-2000:]

    def _await_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            with suppress(OSError):
                if self.send("GET", "/readyz", timeout_s=2.0)[0] == 200:
                    return
            time.sleep(0.05)
        words = self.last_words()
        processes.kill_marked(self.mark)
        raise ServerError(
            f"the {self.options.build} build on {self.options.server} did not get ready within "
            f"{_START_S:.0f} s; its last words:\n{words}"
        )
