"""What every test has in common."""

import os
import tempfile

# What a runtime keeps between two programs' runs is kept for this run of the tests alone.
_FOLDER = tempfile.TemporaryDirectory(prefix="lanewise-tests-")
os.environ["LANEWISE_CACHE_DIR"] = _FOLDER.name
