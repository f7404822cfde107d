"""The rules for a project's own code, one file each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lanewise.readiness.context import Context, Sighting
from lanewise.readiness.rules import (
    ft101,
    ft102,
    ft103,
    ft104,
    ft105,
    ft106,
    ft107,
    ft108,
    ft109,
    ft110,
    ft111,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: ``FT101`` and so on.
        title: What it finds, in a few words.
        find: Yields every place where it applies; None for what the audit itself has to say.
    """

    id: str
    title: str
    find: Callable[[Context], Iterator[Sighting]] | None = None


RULES: tuple[Rule, ...] = (
    Rule("FT000", "a file that could not be read"),
    Rule("FT001", "a suppression without a reason"),
    Rule("FT002", "a suppression that nothing needs"),
    Rule(ft101.RULE, "an update that is not one step", ft101.find),
    Rule(ft102.RULE, "a container checked, then changed", ft102.find),
    Rule(ft103.RULE, "lazy initialisation without a lock", ft103.find),
    Rule(ft104.RULE, "one iterator for several threads", ft104.find),
    Rule(ft105.RULE, "a class-level container changed through self", ft105.find),
    Rule(ft106.RULE, "a mutable default that leaks", ft106.find),
    Rule(ft107.RULE, "a loop over what others change", ft107.find),
    Rule(ft108.RULE, "process-wide state changed by one request", ft108.find),
    Rule(ft109.RULE, "a thread-local value set at import", ft109.find),
    Rule(ft110.RULE, "a resource cached without a lock", ft110.find),
    Rule(ft111.RULE, "an object not made for threads, used by several", ft111.find),
    Rule("FT201", "threads that keep each other from running"),
)

RULE_IDS: tuple[str, ...] = tuple(rule.id for rule in RULES)


def rule_of(identifier: str) -> Rule:
    """Return the rule of an identifier that exists."""
    return next(rule for rule in RULES if rule.id == identifier)
