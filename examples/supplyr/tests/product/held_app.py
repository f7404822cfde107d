"""The app for a server of the tests: its imports end when a file is there, see held_imports."""

import os
from pathlib import Path
from unittest import mock

from supplyr.jobs import imports
from supplyr.web.app import create_app

from .held_imports import held

__all__ = ["create_app"]

# For as long as this process lives.
mock.patch.object(imports, "_write", held(Path(os.environ["SUPPLYR_TEST_MAY_END"]).exists)).start()
