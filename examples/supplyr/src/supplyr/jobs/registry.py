"""The kinds of jobs and who handles them. To add one: its kind and handler, here."""

from collections.abc import Mapping

from supplyr.jobs import imports
from supplyr.jobs.run import Handler

HANDLERS: Mapping[str, Handler] = {
    imports.KIND: imports.run_import,
}
