"""Findings as SARIF 2.1.0, which code review tools read."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lanewise.readiness.audit import AuditReport
from lanewise.readiness.explain import page
from lanewise.readiness.findings import Finding, Level
from lanewise.readiness.rules import RULES

_LEVELS: dict[Level, str] = {
    "critical": "error",
    "error": "error",
    "warning": "warning",
    "info": "note",
}


def to_sarif(report: AuditReport, version: str) -> dict[str, Any]:
    """Return a SARIF log with one run.

    Args:
        report: What was found.
        version: The version of lanewise.
    """
    rules = [
        {
            "id": rule.id,
            "name": rule.title.title().replace(" ", "").replace(",", "").replace("-", ""),
            "shortDescription": {"text": rule.title},
            "help": {"text": f"lanewise audit --explain {rule.id}", "markdown": page(rule.id)},
        }
        for rule in RULES
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "lanewise", "version": version, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"ROOT": {"uri": report.root.resolve().as_uri() + "/"}},
                "results": [_result(finding) for finding in report.findings],
            }
        ],
    }


def _result(finding: Finding) -> dict[str, Any]:
    indexes = {rule.id: index for index, rule in enumerate(RULES)}
    return {
        "ruleId": finding.rule,
        "ruleIndex": indexes[finding.rule],
        "level": _LEVELS[finding.level],
        "message": {"text": _text(finding)},
        "locations": [_location(finding.path, finding.line, finding.column)],
        "relatedLocations": [_location(place.path, place.line, 1) for place in finding.also],
        "partialFingerprints": {"lanewise/v1": finding.fingerprint},
        "properties": {
            "object": finding.object,
            "lanewiseLevel": finding.level,
            "confirmed": [one.to_document() for one in finding.confirmed],
        },
    }


def _text(finding: Finding) -> str:
    shown = "".join(f" Confirmed by {one.name}: {one.evidence}." for one in finding.confirmed)
    return f"{finding.message}. Fix: {finding.fix}.{shown}"


def _location(path: str, line: int, column: int) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(path), "uriBaseId": "ROOT"},
            "region": {"startLine": line, "startColumn": column},
        }
    }
