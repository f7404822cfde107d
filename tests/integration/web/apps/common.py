"""What all of the services have in common."""

from __future__ import annotations

from lanewise import OverloadedError

OPTIONS = {
    "processes": 1,
    "threads": 1,
    "propagate": ["lanewise.web:request_id"],
    "grace_s": 0.0,
}


def refuse() -> None:
    raise OverloadedError("the process lane is full", retry_after_s=2.2)
