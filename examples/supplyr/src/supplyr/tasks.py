"""All tasks of SUPPLYR under one name: `lanewise measure supplyr.tasks`."""

from supplyr.accounts import hash_password, verify_password
from supplyr.catalogue import import_csv, import_xlsx
from supplyr.dedupe import find_duplicates
from supplyr.export import export_pdf, export_xlsx
from supplyr.ranking import rank_suppliers
from supplyr.search.typos import closest_words
from supplyr.thumbnails import make_thumbnails
from supplyr.validation import validate_rows

__all__ = [
    "closest_words",
    "export_pdf",
    "export_xlsx",
    "find_duplicates",
    "hash_password",
    "import_csv",
    "import_xlsx",
    "make_thumbnails",
    "rank_suppliers",
    "validate_rows",
    "verify_password",
]
