"""What every test has in common."""

import os
import tempfile

from hypothesis import HealthCheck, settings

# What a runtime keeps between two programs' runs is kept for this run of the tests alone.
_FOLDER = tempfile.TemporaryDirectory(prefix="lanewise-tests-")
os.environ["LANEWISE_CACHE_DIR"] = _FOLDER.name

# How long an example takes, or is made in, says something of the machine, and here nothing of the code.
settings.register_profile(
    "untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")
