"""Find out which variants and sizes of a task work at all, before anything is timed."""

from __future__ import annotations

from collections.abc import Iterable

from lanewise.errors import MeasureError
from lanewise.measuring.bench_client import BenchDiedError
from lanewise.measuring.task_session import COSTS_UNTIL, TaskSession
from lanewise.model.measurement import VariantStatus

# The automatic ladder: decades up to calls of this length or arguments of this size.
_LADDER_MAX_SIZE = 10**9
_LADDER_FIRST_AT_MOST = 10_000
_LADDER_TOP_BYTES = 64_000_000
_LADDER_TOP_S = 0.01
_LADDER_BOTTOM_S = 5e-6
_LADDER_MAX = 6
_LADDER_TOO_LONG_S = 0.03


def prepare_all(session: TaskSession) -> None:
    """Find the variants and sizes that work.

    Raises:
        MeasureError: None does.
    """
    names = _usable_variants(session)
    if not names:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in session.variants)
        raise MeasureError(f"no variant of {session.name} can take part: {reasons}")
    session.instrument.call_limit_s = max(2.0, min(30.0, session.options.budget_s / 4))
    first_error: MeasureError | None = None
    endless: set[str] = set()
    sizes = session.options.sizes
    for size in _auto_ladder(session, names[0]) if sizes is None else sizes:
        for variant in names:
            if variant in endless:
                continue
            try:
                session.prepare(variant, size)
            except MeasureError as error:
                first_error = first_error or error
                larger = ""
                if isinstance(error, BenchDiedError) and error.timed_out:
                    endless.add(variant)
                    larger = " and larger ones"
                session.warn(f"size {size:g}{larger} of {variant} left out: {error}")
            if session.time_left_s(COSTS_UNTIL) <= 0 and session.samples.prepared:
                session.warn(f"sizes above {size:g} left out: one call each used up their time")
                _refuse_unequal(session, names)
                return
    if not session.samples.prepared:
        raise first_error or MeasureError(f"no size of {session.name} could be measured")
    _refuse_unequal(session, names)


def _usable_variants(session: TaskSession) -> list[str]:
    wanted = session.options.variants
    known = [variant["name"] for variant in session.described["variants"]]
    unknown = [name for name in wanted or () if name not in known]
    if unknown:
        raise MeasureError(
            f"{session.name} has no variant {', '.join(unknown)}; it has: {', '.join(known)}"
        )
    for variant in session.described["variants"]:
        name, reason = variant["name"], variant["reason"]
        if wanted is not None and name not in wanted:
            continue
        status = "ok" if reason is None else "unavailable"
        session.variants.append(VariantStatus(name, variant["requires"], status, reason))
    return [variant.name for variant in session.variants if variant.status == "ok"]


def _auto_ladder(session: TaskSession, first: str) -> Iterable[float]:
    """Decades of sizes, from the first that works up to calls that are long."""
    tried: list[tuple[float, float]] = []
    size = 1
    while size <= _LADDER_MAX_SIZE and session.time_left_s(COSTS_UNTIL / 2) > 0:
        try:
            known = session.prepare(first, size)
        except BenchDiedError as error:
            session.warn(f"no sizes were given; the ladder ends before {size}: {error}")
            break
        except MeasureError as error:
            # Some tasks have a least size (argon2: 8 KiB); others end somewhere.
            if tried or size >= _LADDER_FIRST_AT_MOST:
                session.warn(f"no sizes were given; the ladder ends before {size}: {error}")
                break
            size *= 10
            continue
        tried.append((size, known["second_call_s"]))
        large = (known["args_bytes"] or 0) >= _LADDER_TOP_BYTES
        if known["second_call_s"] >= _LADDER_TOP_S or large:
            break
        size *= 10
    return _telling(session, first, tried)


def _telling(session: TaskSession, first: str, tried: list[tuple[float, float]]) -> list[float]:
    """Of the sizes tried, those whose calls are neither trivial nor too long to repeat."""
    telling = [size for size, wall_s in tried if wall_s >= _LADDER_BOTTOM_S]
    kept = (telling or [size for size, _ in tried])[-_LADDER_MAX:]
    if len(kept) > 3 and tried[-1][1] > _LADDER_TOO_LONG_S:  # noqa: PLR2004 - because: a shorter ladder needs its top
        kept[-1] = kept[-2] * 3
    for size, _ in tried:
        if size not in kept:
            del session.samples.prepared[first, size]
    return kept


def _refuse_unequal(session: TaskSession, names: list[str]) -> None:
    for name in names:
        if name == "default":
            continue
        # Also where the default takes no part: a wrong variant is wrong without it too.
        for variant, size in [key for key in session.samples.prepared if key[0] == name]:
            if (variant, size) in session.samples.prepared:
                _refuse_if_unequal(session, variant, size)


def _refuse_if_unequal(session: TaskSession, variant: str, size: float) -> None:
    reply = session.instrument.bench.ask(
        "equal", task=session.name, variant=variant, size=size, timeout_s=60
    )
    if reply["equal"]:
        return
    reason = (
        f"its result differs from the default's at size {size:g}: "
        f"expected {reply['expected']}, got {reply['got']}"
    )
    session.variants = [
        VariantStatus(one.name, one.requires, "refused", reason) if one.name == variant else one
        for one in session.variants
    ]
    session.warn(f"variant {variant} refused: {reason}")
    for key in [key for key in session.samples.prepared if key[0] == variant]:
        del session.samples.prepared[key]
