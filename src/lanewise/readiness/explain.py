"""The page of each rule."""

from __future__ import annotations

from importlib import resources

from lanewise.errors import AuditError
from lanewise.readiness.rules import RULE_IDS


def page(rule: str) -> str:
    """Return a rule's page, as Markdown.

    Raises:
        AuditError: There is no such rule.
    """
    if rule not in RULE_IDS:
        raise AuditError(f"{rule} is no rule; there are {', '.join(RULE_IDS)}")
    file = resources.files("lanewise.readiness") / "pages" / f"{rule}.md"
    return file.read_text(encoding="utf-8")
