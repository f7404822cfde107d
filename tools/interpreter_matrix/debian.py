"""The machine as a Debian: the mirror and keys its apt sources name, and its packages."""

from __future__ import annotations

import glob
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from .job import Job
from .machine import plain_env, say
from .versions import Unavailable


class Mirror(NamedTuple):
    uri: str
    keyring: Optional[str]  # None: the machine's default keys


def os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name: value.strip('"') for name, value in pairs}


def debian_mirror() -> Mirror:
    """The first entry of the machine's apt sources that is Debian's main archive."""
    release = os_release()
    if release.get("ID") != "debian":
        raise Unavailable("this is not Debian, so its apt sources name no Debian mirror")
    suites = {release.get("VERSION_CODENAME"), "stable", "testing", "unstable", "sid"}
    for entry in apt_entries():
        # The suite tells the main archive from the security one and from strangers'.
        if suites & set(entry["suites"].split()) and "main" in entry["components"].split():
            uri = entry["uris"].split()[0]
            if uri.startswith(("http://", "https://", "file:/")):
                keyring = (entry.get("signed-by", "").replace(",", " ").split() or [""])[0]
                return Mirror(uri, keyring if keyring.startswith("/") else None)
    raise Unavailable("no Debian mirror in the machine's apt sources")


def apt_entries() -> Iterator[dict[str, str]]:
    """Each enabled `deb` entry, whichever of apt's two formats it is written in."""
    parts = sorted(glob.glob("/etc/apt/sources.list.d/*"))
    for name in ["/etc/apt/sources.list", *parts]:
        if not os.path.isfile(name):
            continue
        lines = [s for s in Path(name).read_text().splitlines() if not s.lstrip().startswith("#")]
        if name.endswith(".list"):
            for line in lines:
                kind, _, rest = line.strip().partition(" ")
                options = ""
                if rest.lstrip().startswith("["):
                    options, _, rest = rest.lstrip()[1:].partition("]")
                words = rest.split()
                if kind == "deb" and len(words) >= 3:
                    given = dict(o.split("=", 1) for o in options.split() if "=" in o)
                    yield {
                        "uris": words[0], "suites": words[1], "components": " ".join(words[2:]),
                        "signed-by": given.get("signed-by", ""),
                    }  # fmt: skip
        elif name.endswith(".sources"):
            for stanza in "\n".join(lines).split("\n\n"):
                fields: dict[str, str] = {}
                key = ""
                for line in stanza.splitlines():
                    if line[:1].isspace():
                        fields[key] = f"{fields.get(key, '')} {line.strip()}"
                    elif ":" in line:
                        key, _, value = line.partition(":")
                        key = key.lower()
                        fields[key] = value.strip()
                whole = {"types", "uris", "suites", "components"} <= fields.keys()
                if whole and "deb" in fields["types"].split() and fields.get("enabled") != "no":
                    yield fields


def install(job: Job, log: Path, packages: list[str]) -> None:
    """apt-get install those of the packages that are missing."""
    known = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        env=plain_env(), capture_output=True, text=True,
    ).stdout  # fmt: skip
    there = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    missing = [package for package in packages if package not in there]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Unavailable(
            f"needs the Debian packages {' '.join(missing)}, and root to install them"
        )
    say(f"  installing {' '.join(missing)}")
    job.call(log, "apt-get", "-q", "update")
    job.call(
        log, "env", "DEBIAN_FRONTEND=noninteractive",
        "apt-get", "-qy", "--no-install-recommends", "install", *missing,
    )  # fmt: skip
