"""One self-contained HTML page of a diagnosis: it fetches nothing and runs no script.

flame.py    stacks -> a tree whose nodes know how their time divides into the columns
drawing.py  the tree, the timeline and the bars as SVG
rendering.py  puts the page together; page.css beside the style of `lanewise measure`'s report
"""

from lanewise.diagnose.page.rendering import render_page

__all__ = ["render_page"]
