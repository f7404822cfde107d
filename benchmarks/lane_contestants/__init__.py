"""What ``benchmarks/lanes.py`` compares: the process lane, its peers, and the limits.

::

    jobs.py       the functions that are called; importable by every contestant's workers
    base.py       what is measured in each row, in terms of "call this function over there"
    ours.py       lanewise
    standard.py   concurrent.futures and multiprocessing
    peers.py      other libraries under asyncio (and trio_peers.py, blocking_peers.py, ray_peers.py)
    limits.py     what no library can beat: bare pipes, loops and copies
    table.py      the rows, who competes in which, and the targets
    host.py       the process that one contestant has for itself
    client.py     that process as the coordinator sees it
    report.py     medians, ratios, targets, the printed table
"""
