"""A private PostgreSQL server in a temporary folder, as a user that is not root."""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FOLDERS = (
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
)
_SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")
# There against hanging alone.
_PATIENCE_S = 100


class Cluster:
    """One server. owner: the session of tests that started it."""

    def __init__(self, binaries: Path, folder: Path, user: str | None) -> None:
        self._binaries = binaries
        self._folder = folder
        self._user = user
        self._numbers = itertools.count(1)

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - our own arguments
            [str(self._binaries / program), *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            user=self._user,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    def start(self) -> None:
        data = str(self._folder / "data")
        self.run("initdb", "-D", data, "-U", "supplyr", "-A", "trust", "-E", "UTF8", "--no-sync")
        # Reached through a socket in the folder alone: no port, no other user.
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}'"
        options += "".join(f" -c {setting}" for setting in _SPEED)
        log = str(self._folder / "log")
        self._control("-D", data, "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        self._control("-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def _control(self, *arguments: str) -> None:
        self.run("pg_ctl", "-t", str(_PATIENCE_S), *arguments)

    def new_database(self, *options: str) -> str:
        """Make an empty database, with more options of createdb, and return its URL."""
        name = f"test_{next(self._numbers)}"
        # Not from template1: whoever is connected to that would be in the way, autovacuum say.
        where = ("-h", str(self._folder), "-U", "supplyr")
        self.run("createdb", *where, "-T", "template0", *options, name)
        return f"postgresql://supplyr@/{name}?host={self._folder}"


def _binaries() -> Path | None:
    candidates = [Path(folder) for folder in _FOLDERS]
    found = shutil.which("initdb")
    if found:
        candidates.append(Path(found).resolve().parent)
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


def _user() -> str | None:
    """Return whom to run as where we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@contextlib.contextmanager
def cluster_or_reason() -> Iterator[Cluster | str]:
    """Start a server and stop it at the end; or say in words why there is none."""
    binaries = _binaries()
    if binaries is None:
        yield "PostgreSQL's server is not installed (apt-get install postgresql)"
        return
    if importlib.util.find_spec("asyncpg") is None:
        yield "asyncpg is not installed (pip install 'supplyr[postgresql]')"
        return
    user = _user()
    # Not pytest's folder: the path of a socket may have 107 bytes, and others must get at it.
    with tempfile.TemporaryDirectory(prefix="supplyr-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        cluster = Cluster(binaries, folder, user)
        try:
            cluster.start()
        except (subprocess.SubprocessError, OSError) as error:
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                cluster.stop()  # it may be there by now, too late
            yield f"PostgreSQL cannot be started here: {getattr(error, 'stderr', '') or error}"
            return
        try:
            yield cluster
        finally:
            cluster.stop()
