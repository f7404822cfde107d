"""Entering the Debian sid system: its mounts, its environment, the pythons in it.

Nothing is left mounted afterwards, and no process stands between the caller and the
python.  What is visible in there is decided here, but not which system it is.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from .machine import SYSTEM_PATH, plain_env
from .probe import probe
from .versions import Interpreter, Unavailable

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# A chrooted python gets these variables and no others: the rest describe the
# machine outside (its PATH, its libraries), and would mislead it in there.
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PASS_PREFIXES = ("LANEWISE_", "PYTHON", "PIP_", "PYTEST_", "HYPOTHESIS_", "COVERAGE_", "LC_")
PASS_NAMES = (
    "CI", "COLUMNS", "FORCE_COLOR", "HOME", "LANG", "LANGUAGE", "NO_COLOR", "SOURCE_DATE_EPOCH",
    "TERM", "TMPDIR", "TZ", "http_proxy", "https_proxy", "no_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", *CA_VARIABLES,
)  # fmt: skip

# The mounts are made in a mount namespace of this one command, and each step `exec`s
# the next.  So there is one process from the caller to the python: its exit status and
# signals need no forwarding, and its mounts vanish with it, however it ends.
ENTER = r"""
root=$1 dir=$2; shift 2
while [ "$1" != -- ]; do mount --rbind "$1" "$root$1" || exit 125; shift; done; shift
exec chroot "$root" /usr/bin/env -C "$dir" -- "$@"
"""


def find_in_root(version: str, root: Path) -> Interpreter:
    python = f"/usr/bin/python{version}"
    if not Path(f"{root}{python}").exists():
        raise Unavailable(f"the sid system in {root} has no python{version}")
    if why := cannot_mount():
        raise Unavailable(why)
    return probe(version, chroot_command(root, [], "/", [python]), "chroot", root)


def cannot_mount() -> Optional[str]:
    if os.geteuid() != 0:
        return "a chroot needs root"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "true"],
        env=plain_env(), capture_output=True, text=True,
    )  # fmt: skip
    return f"no mount namespace here ({done.stderr.strip()})" if done.returncode else None


def chroot_command(root: Path, binds: list[str], cwd: str, command: list[str]) -> list[str]:
    """The argv that runs `command` in `cwd` inside `root`, with `binds` visible there."""
    # /dev brings /dev/shm along, which multiprocessing needs; /proc is the machine's
    # own, so that process numbers mean the same inside and outside.
    mounts = ["/proc", "/sys", "/dev", *binds]
    for path in mounts:
        target = Path(f"{root}{path}")
        # A mount needs something to lie on, and ensures never made these.
        if os.path.isdir(path):
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    unshare = ["unshare", "--mount", "--propagation", "private", "--"]
    return [*unshare, "sh", "-c", ENTER, "sh", str(root), cwd, *mounts, "--", *command]


def chroot_binds(wanted: list[str]) -> list[str]:
    """The folders that the caller asked for, and what pip and ssl need from outside."""
    paths = [os.path.realpath(tempfile.gettempdir()), "/tmp"]
    for path in wanted:
        if hides_system(path):
            raise Unavailable(f"{path} would hide the system inside the chroot")
        paths.append(path)
    helpers = [CA_BUNDLE, "/etc/resolv.conf", "/etc/hosts", *pip_paths()]
    helpers += [os.environ[name] for name in CA_VARIABLES if name in os.environ]
    paths += [path for path in helpers if os.path.exists(path) and not hides_system(path)]
    # Outer folders first, and nothing twice: a mount made inside a folder would be
    # hidden by a later mount of that folder.
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda path: (path.count("/"), path)):
        if not any(covers(outer, path) for outer in ["/dev", "/proc", "/sys", *kept]):
            kept.append(path)
    return kept


def covers(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def hides_system(path: str) -> bool:
    """Whether a mount on this path would take the chroot's own python away."""
    parts = ("/usr/bin", "/usr/lib", "/usr/lib64", "/bin", "/lib", "/lib64")
    within = any(covers(path, part) or covers(part, path) for part in parts)
    return within or path in ("/etc", "/var") or not path.startswith("/")


def pip_paths() -> Iterator[str]:
    """pip's configuration files, and every file or folder that they name."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    folders = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    files = [f"{folder}/pip/pip.conf" for folder in folders.split(":")]
    files += ["/etc/pip.conf", "~/.pip/pip.conf", f"{config}/pip/pip.conf"]
    files.append(os.environ.get("PIP_CONFIG_FILE", ""))
    values = [value for name, value in os.environ.items() if name.startswith("PIP_")]
    for name in filter(None, files):
        path = os.path.expanduser(name)
        parser = configparser.RawConfigParser()
        with contextlib.suppress(configparser.Error, OSError):
            if parser.read(path):
                yield path
                values += [value for part in parser.sections() for _, value in parser.items(part)]
    for word in " ".join(values).split():
        if word.startswith("file://"):
            # An index on disk: its pages name files beside it, as ../../files/NAME.
            index = word[len("file://") :].rstrip("/")
            yield from (index, os.path.dirname(index))
        elif word.startswith("/"):
            yield word.rstrip("/")


def chroot_env() -> dict[str, str]:
    env = {
        name: value
        for name, value in os.environ.items()
        if name in PASS_NAMES or name.startswith(PASS_PREFIXES)
    }
    env["PATH"] = SYSTEM_PATH
    # A minimal Debian has no bundle in OpenSSL's own default place.
    if os.path.exists(CA_BUNDLE):
        env.setdefault("SSL_CERT_FILE", CA_BUNDLE)
    return env
