"""All tasks of SUPPLYR under one name: `lanewise measure supplyr.tasks`."""

from supplyr.accounts import hash_password, verify_password
from supplyr.catalogue import import_csv, import_xlsx
from supplyr.dedupe import find_duplicates
from supplyr.duplicates.clusters import cluster_pairs
from supplyr.duplicates.compare import compare_segment
from supplyr.duplicates.neighbours import similar_neighbours
from supplyr.duplicates.passes import sort_pass
from supplyr.duplicates.prepare import prepare_page
from supplyr.export import export_pdf, export_xlsx
from supplyr.exports.csv_rows import csv_page
from supplyr.imports.checking import check_block
from supplyr.imports.staging import preview_table, stage_table
from supplyr.profile_score import score_page
from supplyr.ranking import rank_suppliers
from supplyr.search.making import make_documents
from supplyr.search.typos import closest_words
from supplyr.thumbnails import make_thumbnails
from supplyr.validation import validate_rows

# Not here: exports.xlsx.stream_xlsx, exports.pdf.stream_pdf, imports.staging.preview_file and
# imports.staging.stage_file, which read a file; export_xlsx, export_pdf, preview_table and
# stage_table do the same work on what is in it.
__all__ = [
    "check_block",
    "closest_words",
    "cluster_pairs",
    "compare_segment",
    "csv_page",
    "export_pdf",
    "export_xlsx",
    "find_duplicates",
    "hash_password",
    "import_csv",
    "import_xlsx",
    "make_documents",
    "make_thumbnails",
    "prepare_page",
    "preview_table",
    "rank_suppliers",
    "score_page",
    "similar_neighbours",
    "sort_pass",
    "stage_table",
    "validate_rows",
    "verify_password",
]
