"""One self-contained HTML page of what `lanewise measure` found.

`render_report` takes the JSON document `lanewise.measure/1` and returns the page. Words and tables
are written here, so that they are there without JavaScript; the charts are drawn in the browser
from the same document, which the page carries with it.

    rendering.py   puts the page together
    task_page.py   one task from headline to costs
    host_page.py   the machine and the interpreter
    advice.py      routes -> sentences and coloured strips
    tables.py      what was measured about a task, as tables
    comparison.py  several interpreters side by side
    humanise.py    numbers with units; markup.py: escaped HTML; reading.py: careful access
    page.html, style.css and script/*.js: what the browser gets
"""

from lanewise.measuring.report_page.rendering import render_report

__all__ = ["render_report"]
