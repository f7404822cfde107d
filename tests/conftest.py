"""What every test has in common."""

import os
import tempfile

from hypothesis import settings

# What a runtime keeps between two programs' runs is kept for this run of the tests alone.
_FOLDER = tempfile.TemporaryDirectory(prefix="lanewise-tests-")
os.environ["LANEWISE_CACHE_DIR"] = _FOLDER.name

# How long an example takes says something of the machine, and here nothing of the code.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
