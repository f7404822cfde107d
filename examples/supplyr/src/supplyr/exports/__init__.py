"""Exports of suppliers, the part without a database: rows in, the bytes of a file out.

::

    rows.py      what is exported, and how pages of it cross to a worker
    csv_rows.py  task: a page of rows as CSV
    spool.py     rows that wait in a file for a format that is written as a whole
    xlsx.py      generator task: a spool as XLSX
    pdf.py       generator task: a spool as PDF
    formats.py   which formats there are
"""
