"""Puts the live page together, once: one HTML file that fetches nothing but its own numbers."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from string import Template

# Each one sees the functions of those before it; together they are one strict function.
_SCRIPTS = (
    "base.js",
    "charts.js",
    "tables.js",
    "history.js",
    "overview.js",
    "details.js",
    "main.js",
)


@functools.cache
def page() -> tuple[bytes, bytes]:
    """Return the page, and the Content-Security-Policy that it is served with."""
    script, style = _script(), _resource("style.css")
    body = Template(_resource("page.html")).substitute(style=style, script=script)
    policy = (
        "default-src 'none'; "
        f"script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return body.encode(), policy.encode()


def _script() -> str:
    inner = "\n".join(_resource(f"script/{name}") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{inner}}})();'


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
