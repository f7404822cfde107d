"""The kinds of jobs and who handles them. To add one: its kind and handler, here."""

from collections.abc import Mapping

from supplyr.jobs import duplicates, exports, imports, ranking
from supplyr.jobs.run import Handler

HANDLERS: Mapping[str, Handler] = {
    imports.KIND: imports.run_import,
    duplicates.KIND: duplicates.run_duplicates,
    exports.KIND: exports.run_export,
    ranking.KIND: ranking.run_ranking,
}
