"""Catalogue imports, the part without a database: bytes in, checked rows out.

::

    encodings.py   bytes -> text: which encoding, and no guessing where it would corrupt
    csv_rows.py    text -> rows, the delimiter found
    xlsx_extent.py what a spreadsheet really unpacks to, before anything opens it
    reading.py     an upload of either kind -> rows, within limits
    fields.py      what can be imported, what headings it has, what a cell may hold
    values.py      one cell -> one value
    mapping.py     which column is which field: guessed, edited, checked
    staging.py     tasks: a preview, and the blocks that an import goes through
    checking.py    task: the rows of one block, checked
"""
