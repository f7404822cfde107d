"""3.13t: built without the GIL from the source package of Debian's stable release."""

from __future__ import annotations

import os
from pathlib import Path

from .debian import debian_mirror, install
from .job import Job, put_in_place
from .machine import say
from .probe import probe
from .versions import Unavailable

# The stable suite whose source package 3.13t is built from, and its name there.
SOURCE_SUITE, SOURCE_PACKAGE = "trixie", "python3.13"

BUILD_PACKAGES = (
    "gcc", "libc6-dev", "make", "pkg-config", "xz-utils",
    "libbz2-dev", "libffi-dev", "liblzma-dev", "libsqlite3-dev", "libssl-dev", "zlib1g-dev",
)  # fmt: skip


def build_free_threaded(version: str, job: Job) -> None:
    """CPython without the GIL, from the source that Debian's stable release ships.

    Debian packages no free-threaded 3.13, and python.org is out of reach; but the
    source package holds the upstream release as it is, and apt checks its signature.
    """
    log = job.cache / "logs" / f"{version}.log"
    log.unlink(missing_ok=True)
    mirror = debian_mirror()
    install(job, log, list(BUILD_PACKAGES))
    with job.scratch() as folder:
        for name in ("lists/partial", "apt-cache/archives/partial", "source", "stage"):
            (folder / name).mkdir(parents=True)
        signed = f"[signed-by={mirror.keyring}] " if mirror.keyring else ""
        sources = folder / "sources.list"
        sources.write_text(f"deb-src {signed}{mirror.uri} {SOURCE_SUITE} main\n")
        # apt with state of its own: the machine's lists and settings stay as they are.
        # The cleared hooks would refresh caches of the machine's.
        config = folder / "apt.conf"
        config.write_text(
            f'Dir::Etc::sourcelist "{sources}";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            f'Dir::State::lists "{folder}/lists";\n'
            f'Dir::Cache "{folder}/apt-cache";\n'
            'APT::Sandbox::User "root";\n'
            'APT::Default-Release "";\n'
            'Acquire::Languages "none";\n'
            "#clear APT::Update::Post-Invoke;\n"
            "#clear APT::Update::Post-Invoke-Success;\n"
        )
        apt = ["apt-get", "-q", "-c", str(config)]
        source = folder / "source"
        say(f"{version}: fetching Debian's source of {SOURCE_PACKAGE}")
        job.call(log, *apt, "update")
        job.call(log, *apt, "source", "--download-only", SOURCE_PACKAGE, cwd=source)
        tarballs = [name for name in source.glob("*.orig.tar.*") if name.suffix != ".asc"]
        if len(tarballs) != 1:
            raise Unavailable(f"Debian's source of {SOURCE_PACKAGE} has no single upstream tarball")
        tree = folder / "tree"
        tree.mkdir()
        job.call(
            log, "tar", "-xf", str(tarballs[0]), "-C", str(tree), "--strip-components=1",
            "--no-same-owner",
        )  # fmt: skip
        say(f"{version}: building it (about 5 minutes on 2 cores)")
        # The final place is configured in, and a staged install put there by rename.
        # No pip in it: `python -m venv` brings its own, and the base stays as built.
        place = job.cache / version
        job.call(
            log, "./configure", "--disable-gil", f"--prefix={place}", "--with-ensurepip=no",
            "--disable-test-modules", "--without-static-libpython", cwd=tree,
        )  # fmt: skip
        job.call(log, "make", f"-j{os.cpu_count() or 1}", cwd=tree)
        job.call(log, "make", "install", f"DESTDIR={folder}/stage", cwd=tree)
        made = Path(f"{folder}/stage{place}")
        # Raises when a needed module was not built.
        probe(version, [str(made / "bin" / f"python{version}")], "built", None)
        put_in_place(made, place, job)
