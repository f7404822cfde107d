"""Printing for people and for machines."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lanewise.measuring.store import write_atomically


class Output:
    """What people read, on standard output. Colours only where a terminal shows them."""

    def __init__(self, console: Console | None = None) -> None:
        # A pipe has no width; a hundred columns hold every table of ours.
        self.console = console or Console(
            width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=False
        )

    def title(self, text: str) -> None:
        """Begin a section."""
        self.console.print(f"\n[bold]{_plain(text)}[/bold]")

    def line(self, text: str, style: str | None = None) -> None:
        """Print a line; markup in it is not interpreted."""
        self.console.print(text, style=style, markup=False)

    def note(self, text: str) -> None:
        """Print a remark."""
        self.console.print(f"  {text}", style="dim", markup=False)

    def warning(self, text: str) -> None:
        """Print something that the reader should know."""
        self.console.print(f"  ! {text}", style="yellow", markup=False)

    def table(self, columns: list[tuple[str, str]], rows: list[list[str]]) -> None:
        """Print a table; columns are (heading, ``left`` or ``right``)."""
        table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
        for heading, justify in columns:
            table.add_column(
                heading, justify="right" if justify == "right" else "left", no_wrap=True
            )
        for row in rows:
            table.add_row(*(_plain(cell) for cell in row))
        self.console.print(table)


def print_wrapped(
    output: Output, text: str, style: str | None = None, indent: str = "    "
) -> None:
    """Print a paragraph, indented, broken between words."""
    width = max(output.console.width, 40)
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        output.line(line, style=style)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def print_json(document: Any, path: Path | None = None) -> None:
    """Write a document as JSON to a file, or to standard output.

    Numbers that JSON cannot hold (infinity, not-a-number) become null.
    """
    text = json.dumps(_finite(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if path is None:
        sys.stdout.write(text)
    else:
        write_atomically(path, text)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
