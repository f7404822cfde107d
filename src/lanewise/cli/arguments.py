"""What the verbs' arguments have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lanewise.errors import LanewiseError


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make argparse tell a parser's own words when it refuses a value."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except LanewiseError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
