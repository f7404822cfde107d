"""Opens a private Ray, tells what it consists of, and waits until it is killed."""

import asyncio
import json
import sys
from pathlib import Path

from lanewise import Runtime
from lanewise.testing.leftovers import Leftovers

_LISTENING = "0A"
# 127.0.0.1, as IPv4 and mapped into IPv6, the way the kernel prints them.
_LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")


def _listening(pids):
    """Addresses and ports on which these processes listen."""
    inodes = set()
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(fd.readlink()))
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == _LISTENING and f"socket:[{parts[9]}]" in inodes:
                found.append(parts[1])
    return found


async def _main():
    before = Leftovers.now()
    async with Runtime(cluster="local", lanes=("cluster",)) as rt:
        assert await rt.run(abs, -3) == 3
        pids = [pid for pid, _ in Leftovers.now().since(before).processes]
        listening = _listening(pids)
        told = {
            "processes": pids,
            "directory": rt._far.lane._connection._directory,
            "listening": listening,
            "elsewhere": [one for one in listening if one.partition(":")[0] not in _LOOPBACK],
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
