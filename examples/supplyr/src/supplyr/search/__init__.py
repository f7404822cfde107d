"""Search: what is asked, how it is found in either dialect, and what was probably meant.

folding.py words; documents.py what is indexed; index.py writes it; question.py what may be asked;
statements.py SQL; typos.py near words; engine.py puts it together; suggest.py while typing.
"""
