"""Joins a cluster, runs a call there that never ends, and waits until it is killed."""

import asyncio
import sys

import far_tasks

from lanewise import Runtime


async def _main(address, path):
    async with Runtime(cluster=address, lanes=("cluster",)) as rt:
        await rt.run(far_tasks.note, path)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
