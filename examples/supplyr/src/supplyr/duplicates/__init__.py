"""The full duplicate run: pages of records -> sorted passes -> segments -> pairs -> clusters.

::

    prepare.py    a page of records as comparison texts and sort keys
    passes.py     one sort order over all pages, cut into segments
    letters.py    an upper bound for the similarity of many pairs at once
    compare.py    the pairs of one segment
    clusters.py   groups of records that belong together
"""
