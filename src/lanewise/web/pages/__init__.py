"""What people and machines look at: a live page, its JSON, metrics, readiness and liveness.

The modules::

    app.py        the ASGI app: who is answered what
    document.py   statistics as JSON
    rendering.py  puts the page together: page.html, style.css and script/*.js
"""

from lanewise.web.pages.app import dashboard

__all__ = ["dashboard"]
