"""Measure a task: its cost, what each lane makes of it, and where one overtakes another.

Two processes take part. The *bench* runs the user's code (``bench_server``, ``cost_probe``,
``lane_load``); the *session* steers it from outside (``session``, ``bench_client``), reads the
bench's lock word while code runs (``gil_sampler``), sends the ticks that loop lag is measured with,
and can kill the bench when user code never comes back.
"""
