"""Ask this interpreter and machine what they are."""

from __future__ import annotations

import functools
import math
import os
import platform
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

from lanewise.model.facts import HostFacts


@functools.cache
def library_version() -> str:
    """Return the installed version of lanewise; running from bare files has none."""
    # Only now, since it takes as long as all other imports here, and workers may import this package.
    metadata = import_module("importlib.metadata")
    try:
        return str(metadata.version("lanewise"))
    except metadata.PackageNotFoundError:
        return "0 (from files)"


def free_threaded_build() -> bool:
    """Whether this interpreter was built with ``--disable-gil``."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def gil_enabled() -> bool:
    """Whether the lock is on now. Ask again after imports: an extension can turn it back on."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def usable_cores() -> int:
    """The cores that this process may really use: affinity and cgroup quota, not the machine's."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    quota = _cgroup_quota_cores()
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def host_facts() -> HostFacts:
    """Collect the facts of this interpreter on this machine. Costs about a millisecond."""
    return HostFacts(
        python_version=platform.python_version(),
        implementation=platform.python_implementation(),
        executable=Path(sys.executable).name,
        free_threaded_build=free_threaded_build(),
        gil_enabled=gil_enabled(),
        system=platform.system(),
        kernel=platform.release(),
        cpu_model=_cpu_model(),
        logical_cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_bytes=_memory_bytes(),
        switch_interval_s=sys.getswitchinterval(),
    )


def _cgroup_quota_cores() -> float | None:
    """Cores' worth of CPU time that the cgroup grants, or None without a quota.

    cgroup v2: ``cpu.max`` holds "quota period" in microseconds; v1 keeps them in two files. Inside a
    container the own group is mounted at the root of the tree.
    """
    root = Path("/sys/fs/cgroup")
    try:
        quota, period = (root / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((root / "cpu/cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _cpu_model() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.lower().startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
