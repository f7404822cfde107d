"""How a long measurement tells that it is alive."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what happens, from the session's thread. Must return at once."""

    def task(self, name: str, budget_s: float) -> None:
        """A task begins."""

    def step(self, text: str, spent_s: float) -> None:
        """What is being measured now, and how much of the task's budget is spent."""

    def done(self, name: str) -> None:
        """A task ended."""


class NoProgress:
    """Says nothing."""

    def task(self, name: str, budget_s: float) -> None:
        """Ignore it."""

    def step(self, text: str, spent_s: float) -> None:
        """Ignore it."""

    def done(self, name: str) -> None:
        """Ignore it."""
