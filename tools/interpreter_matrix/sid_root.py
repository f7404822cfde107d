"""3.14 and 3.15: a minimal Debian sid system that holds them, made by debootstrap."""

from __future__ import annotations

from pathlib import Path

from .chroot import cannot_mount, find_in_root
from .debian import debian_mirror, install
from .job import Job, put_in_place, remove_tree
from .machine import say
from .versions import SID, Unavailable

DEFAULT_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def make_sid_root(versions: list[str], job: Job) -> dict[str, str]:
    """A minimal Debian sid with these pythons; the reasons for those it does not have."""
    log = job.cache / "logs" / "sid-root.log"
    log.unlink(missing_ok=True)
    if why := cannot_mount():
        raise Unavailable(why)
    mirror = debian_mirror()
    install(job, log, ["debootstrap", "debian-archive-keyring"])
    place = job.cache / "sid-root"
    reasons: dict[str, str] = {}
    # Those that an older root already has are asked for again, for the new one
    # is to take its place.
    asked = [v for v in SID if v in versions or Path(f"{place}/usr/bin/python{v}").exists()]
    while asked:
        with job.scratch() as folder:
            root = folder / "root"
            say(f"{' and '.join(asked)}: making a Debian sid system (about a minute)")
            packages = ",".join(f"python{v},python{v}-venv" for v in asked)
            try:
                # In a mount namespace, for debootstrap mounts /proc in the new root and
                # leaves it there when interrupted.
                job.call(
                    log, "unshare", "--mount", "--propagation", "private", "--",
                    "debootstrap", "--variant=minbase", f"--include={packages}",
                    f"--keyring={mirror.keyring or DEFAULT_KEYRING}",
                    "sid", str(root), mirror.uri,
                )  # fmt: skip
            except Unavailable:
                # sid changes daily: one python too new or too old must not cost the other.
                absent = missing_debs(log)
                gone = [v for v in asked if absent & {f"python{v}", f"python{v}-venv"}]
                if not gone:
                    raise
                reasons.update({v: f"Debian sid has no python{v} now" for v in gone})
                asked = [v for v in asked if v not in gone]
                log.unlink()
                continue
            # `run` mounts the machine's own over these, so that they are never stale.
            for name in ("resolv.conf", "hosts"):
                (root / "etc" / name).unlink(missing_ok=True)
                (root / "etc" / name).touch()
            # What apt downloaded, and its lists: a third of the size, and not needed.
            for name in ("var/cache/apt", "var/lib/apt/lists"):
                remove_tree(root / name)
            for version in asked:
                try:
                    find_in_root(version, root)
                except Unavailable as why:
                    reasons[version] = str(why)
            if not set(asked) <= reasons.keys():
                put_in_place(root, place, job)
            break
    return reasons


def missing_debs(log: Path) -> set[str]:
    mark = "Couldn't find these debs:"
    lines = log.read_text(errors="replace").splitlines()
    return {name for line in lines if mark in line for name in line.split(mark)[1].split()}
