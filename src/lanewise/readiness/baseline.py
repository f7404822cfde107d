"""What was found before and is not told again: a file that is reviewed and committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanewise.errors import AuditError, MeasureError
from lanewise.measuring.store import write_atomically
from lanewise.readiness.findings import Finding

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """Fingerprints of known findings."""

    fingerprints: frozenset[str]

    def is_known(self, finding: Finding) -> bool:
        """Tell whether a finding was there before; its line may have moved since."""
        return finding.fingerprint in self.fingerprints


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        AuditError: The file is missing or is no baseline.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AuditError(
            f"{path} does not exist: write it first with --baseline {path} --write-baseline"
        ) from error
    except (OSError, ValueError) as error:
        raise AuditError(
            f"{path} cannot be read as a baseline ({error}): write it again"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("findings"), list):
        raise AuditError(f"{path} is no baseline: write one with --write-baseline")
    if document.get("schema") != SCHEMA:
        raise AuditError(
            f"{path} has schema {document.get('schema')!r}, this lanewise reads {SCHEMA}: write it again"
        )
    rows = [row for row in document["findings"] if isinstance(row, dict)]
    return Baseline(frozenset(str(row.get("fingerprint")) for row in rows))


def write_baseline(path: Path, findings: tuple[Finding, ...]) -> None:
    """Write what was found, one finding a line, so that a review shows which came and went.

    Raises:
        AuditError: It cannot be written; the old file is as it was.
    """
    rows = sorted(
        {(f.rule, f.path, f.object, f.fingerprint) for f in findings},
    )
    lines = ",\n".join(
        "  " + json.dumps(dict(zip(("rule", "path", "object", "fingerprint"), row, strict=True)))
        for row in rows
    )
    text = f'{{\n "schema": {SCHEMA},\n "findings": [\n{lines}\n ]\n}}\n'
    try:
        write_atomically(path, text)
    except MeasureError as error:
        raise AuditError(str(error)) from error
