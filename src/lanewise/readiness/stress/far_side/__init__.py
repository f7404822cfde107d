"""What runs beside the user's code, in a process of its own. Stdlib and relative imports only.

The interpreter that runs it may live in an environment without lanewise, so ``_stage_loop.py``
loads this folder as a package by its path. From what everything rests on upwards::

    steps          instructions of somebody's code: names for them, a call before each
    scheduler      two threads of which one runs at a time, and where one yields to the other
    locks          locks that tell the scheduler that they would wait
    encode         values as text that can be compared between processes
    forks          one thing done in a process of its own
    targets        the function, object and arguments that a finding is about
    two_calls      two calls under one schedule, in a fork; which schedules there are
    one_at_a_time  calls into the project serialised, and handed over at their ends
    delays         short waits between the steps of some functions
    pytest_stage   a collected test suite, of which tests are run as they are asked for
"""
