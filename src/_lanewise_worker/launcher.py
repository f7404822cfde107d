"""The process that starts workers, sees them end, and cleans up after them.

One for each process lane, started by exec, with a single thread, so that forking it is safe. Before it
answers at all it imports what calls are known to need, which its children then have at once. What is
learned later is imported by a successor, for imports take long, may hang and may start threads. It
outlives no parent.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from typing import Any

from _lanewise_worker import control, lifeline, orphans
from _lanewise_worker.main_module import install_lazy_main, load_main

_EXIT_BROKEN = 70  # EX_SOFTWARE of sysexits.h
_SWEEPS = 50


class Launcher:
    """Owner of everything here: the process's only thread."""

    def __init__(self, channel: socket.socket, config: dict[str, Any], lifeline_fd: int) -> None:
        self._channel = channel
        self._config = config
        self._lifeline_fd = lifeline_fd
        self._workers: set[int] = set()
        self._dead: set[int] = set()

    def serve(self) -> None:
        """Serve until the parent says stop, or is gone."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        poller.register(wake_read, select.POLLIN)
        parent = _pidfd(self._config["parent_pid"])
        if parent is not None:
            poller.register(parent, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                self._look_for_dead()
            if parent is not None and parent in ready:
                break
            if self._channel.fileno() in ready and not self._command():
                break
        self._stop()

    # --- commands -------------------------------------------------------------------------------

    def _command(self) -> bool:
        try:
            message, fds = control.receive(self._channel)
        except (EOFError, OSError):
            return False
        kind = message[0]
        if kind == "start":
            self._start(message[1], message[2], fds)
        elif kind == "reap":
            self._reap(message[1])
        elif kind == "stop":
            return False
        return True

    def tell(self, *message: Any) -> None:
        """Send the parent a message."""
        with contextlib.suppress(OSError):  # the parent is gone, which the next poll will tell
            control.send(self._channel, message)

    def _start(self, request: int, options: dict[str, Any], fds: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self.tell("failed", request, f"{type(error).__name__}: {error}")
        else:
            if pid == 0:
                self._become_worker(options, fds)
            # Also set here, so that the group exists before anybody is told about it.
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            self._workers.add(pid)
            self.tell("started", request, pid)
        finally:
            for fd in fds:
                os.close(fd)

    def _become_worker(self, options: dict[str, Any], fds: list[int]) -> None:
        """In the child: take the descriptors, drop the launcher's, run the worker, end."""
        status = _EXIT_BROKEN
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            channel, side, out, err, *page = fds
            os.dup2(out, 1)
            os.dup2(err, 2)
            os.close(out)
            os.close(err)
            self._channel.close()
            if self._config["method"] == "spawn":
                self._exec(channel, side, page[0] if page else -1, options)
            prepare_worker(self._lifeline_fd, self._config["nice"])
            worker_main(self._config["entry"])(channel, side, page[0] if page else -1, options)
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:  # noqa: BLE001 - because: the process ends here, and its stderr is read
            import traceback  # noqa: PLC0415 - because: rare

            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(status)

    def _exec(self, channel: int, side: int, page: int, options: dict[str, Any]) -> None:
        """Become a fresh interpreter. The configuration travels in a file without a name."""
        import pickle  # noqa: PLC0415 - because: only this method needs these
        import tempfile  # noqa: PLC0415 - because: as above

        data = pickle.dumps((self._config, options, [channel, side, page, self._lifeline_fd]))
        if hasattr(os, "memfd_create"):
            read = os.memfd_create("lanewise-config")
        else:
            with tempfile.TemporaryFile() as file:
                read = os.dup(file.fileno())
        os.write(read, data)
        os.lseek(read, 0, os.SEEK_SET)
        for fd in (channel, side, page, self._lifeline_fd, read):
            if fd >= 0:
                os.set_inheritable(fd, True)
        arguments = [
            sys.executable,
            *self._config["flags"],
            "-c",
            SPAWNED,
            self._config["home"],
            str(read),
        ]
        os.execv(sys.executable, arguments)  # noqa: S606 - because: our own interpreter, no shell wanted

    # --- ends -----------------------------------------------------------------------------------

    def _look_for_dead(self) -> None:
        ended = []
        for pid in sorted(self._workers - self._dead):
            try:
                found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                continue
            if found is not None:
                killed = found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
                ended.append((pid, -found.si_status if killed else found.si_status))
        if not ended:
            return
        # What dead workers have left: their groups, and what has become this process's own child.
        for pid, _ in ended:
            self._dead.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self._sweep()
        for pid, status in ended:
            self.tell("died", pid, status)

    def _sweep(self) -> None:
        # Live workers keep their own orphans, so a child that is no worker belonged to a dead one.
        for _ in range(_SWEEPS):
            strangers = [child for child in orphans.children() if child not in self._workers]
            if not strangers:
                return
            for child in strangers:
                orphans.kill_tree(child)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, 0)

    def _reap(self, pid: int) -> None:
        if pid in self._dead:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            self._dead.discard(pid)
            self._workers.discard(pid)

    def _stop(self) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in sorted(self._workers):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._workers.clear()
        self._sweep()
        os._exit(0)


# What a spawned worker runs: argv holds where this package lies and the pipe with its configuration.
SPAWNED = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from _lanewise_worker.launcher import spawned; spawned(int(sys.argv[2]))"
)


def spawned(config_fd: int) -> None:
    """The main function of a worker that is a fresh interpreter."""
    import pickle  # noqa: PLC0415 - because: the launcher itself does not need it

    with open(config_fd, "rb") as pipe:
        config, options, fds = pickle.load(pipe)  # noqa: S301 - because: from the parent
    channel, side, page, lifeline_fd = fds
    for fd in fds:
        if fd >= 0:
            os.set_inheritable(fd, False)
    take_over(config)
    prepare_worker(lifeline_fd, config["nice"])
    worker_main(config["entry"])(channel, side, page, options)
    os._exit(0)


def prepare_worker(lifeline_fd: int, nice: int) -> None:
    """What every worker does first: die with the parent, keep its own orphans, tell of crashes."""
    import faulthandler  # noqa: PLC0415 - because: the launcher's own would write to the wrong place

    orphans.become_subreaper()
    lifeline.arm(lifeline_fd)
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then all are equal
        os.nice(nice)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115 - because: lives as long as the process
    faulthandler.enable(2, all_threads=True)
    gc.enable()
    # What was loaded before the fork has one state in all workers. Python's own random sees to it itself.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        with contextlib.suppress(Exception):
            numpy_random.seed()


def worker_main(entry: str) -> Any:
    """Find the function that a worker runs."""
    module, _, name = entry.partition(":")
    return getattr(__import__(module, fromlist=[name]), name)


def take_over(config: dict[str, Any]) -> None:
    """Make this interpreter look like the parent's: import path, arguments, directory, main module."""
    sys.path[:] = config["path"]
    sys.argv[:] = config["argv"]
    with contextlib.suppress(OSError):
        os.chdir(config["directory"])
    install_lazy_main(config["main"])


def main(control_fd: int, lifeline_fd: int) -> None:
    """Run the launcher to its end."""
    signal.signal(signal.SIGINT, _ignore)
    channel = socket.socket(fileno=control_fd)
    config, _ = control.receive(channel)
    take_over(config)
    orphans.become_subreaper()
    launcher = Launcher(channel, config, lifeline_fd)
    launcher.tell("ready", *preload(config, lifeline_fd))
    launcher.serve()


def preload(config: dict[str, Any], lifeline_fd: int) -> tuple[dict[str, str], dict[str, int]]:
    """Import what children are to find loaded.

    Returns:
        Why modules could not be imported, and how many threads modules have started.
    """
    own = -1
    with contextlib.suppress(OSError):  # an import may never end, and the parent may
        own = lifeline.watch(lifeline_fd)
    failed: dict[str, str] = {}
    threaded: dict[str, int] = {}
    threads = orphans.thread_count()
    for name in config["preload"]:
        try:
            if name in ("__main__", "__mp_main__"):
                load_main(config["main"])
            else:
                __import__(name)
        except BaseException as error:  # noqa: BLE001 - because: a module may even exit
            failed[name] = f"{type(error).__name__}: {error}"
        now = orphans.thread_count()
        if now > threads:
            threaded[name] = now - threads
            threads = now
    # What is there now will be in every child: the collector need not touch, and so copy, it there.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, _ignore)  # a module may have had other ideas
    if own >= 0:
        os.close(own)
    return failed, threaded


def _pidfd(pid: int) -> int | None:
    opener = getattr(os, "pidfd_open", None)
    if opener is None or os.getppid() != pid:
        return None  # gone already, which the end of the control socket tells
    try:
        fd: int = opener(pid)
    except OSError:
        return None
    return fd


def _ignore(_signal: int, _frame: Any) -> None:
    """Do nothing; the wakeup descriptor tells."""
