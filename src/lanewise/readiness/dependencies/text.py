"""A dependency report for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from lanewise.readiness.dependencies.probe import several
from lanewise.readiness.dependencies.report import DependencyReport, DistributionReport

_WIDTH = 100
_MOST_UNMET = 10
_MOST_FAILED = 5


def render_text(report: DependencyReport) -> str:
    """The report as lines of text: problems with their reasons, then everything else, then limits."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: DependencyReport) -> Iterator[str]:
    interpreter = report.interpreter
    build = "free-threaded" if interpreter.free_threaded else "ordinary"
    yield f"Dependencies on {interpreter.implementation} {interpreter.version}, {build} build"
    yield f"  {interpreter.executable}"
    yield ""
    yield _summary(report)
    problems = report.problems
    for number, one in enumerate(problems):
        yield ""
        yield from _problem(one)
        # Many have the same advice, and stand together: it is given once, after the last of them.
        following = problems[number + 1].judgement if number + 1 < len(problems) else None
        if one.judgement.advice and (following is None or following.advice != one.judgement.advice):
            yield from _wrap(f"-> {one.judgement.advice}")
    rest = [one for one in report.distributions if not one.is_problem]
    if rest:
        yield ""
        width = max(len(f"{one.name} {one.version}") for one in rest)
        for one in rest:
            yield f"  {f'{one.name} {one.version}':<{width}}  {one.label}"
    yield from _own_gil(report)
    yield from _limits(report)


def _summary(report: DependencyReport) -> str:
    counts: dict[str, int] = {}
    for one in report.distributions:
        word = "facade" if one.verdict == "facade" else one.label
        counts[word] = counts.get(word, 0) + 1
    parts = ", ".join(f"{count} {word}" for word, count in counts.items())
    total = len(report.distributions)
    return f"{total} distribution{'' if total == 1 else 's'}: {parts}"


def _problem(one: DistributionReport) -> Iterator[str]:
    yield f"  {one.name} {one.version}: {one.label}"
    if len(one.chain) > 1:
        yield from _wrap("required by " + " > ".join(one.chain[:-1]))
    for reason in one.judgement.reasons:
        yield from _wrap(reason)
    if one.verdict != "slow_path":
        yield from _wrap("; ".join(_merged(one.tags_mean)))


def _merged(tags_mean: Iterable[str]) -> list[str]:
    """Targets of which the same is to be said, together."""
    targets: dict[str, list[str]] = {}
    for text in tags_mean:
        target, _, meaning = text.partition(": ")
        targets.setdefault(meaning, []).append(target)
    return [f"{', '.join(names)}: {meaning}" for meaning, names in targets.items()]


def _own_gil(report: DependencyReport) -> Iterator[str]:
    answers = [answer for one in report.distributions for answer in one.own_gil]
    if not answers:
        return
    yield ""
    if all(answer.source == "version" for answer in answers):
        yield from _wrap(f"interpreters with a lock of their own: {answers[0].reason}", indent=2)
        return
    allowed = [answer.module for answer in answers if answer.allowed]
    less = sum(1 for answer in answers if answer.allowed and answer.without)
    yield from _wrap(
        f"interpreters with a lock of their own import {len(allowed)} of {len(answers)} modules, "
        f"{less or 'none'} of these without binaries behind them",
        indent=2,
    )
    for answer in answers:
        if answer.allowed and answer.without:
            yield from _wrap(f"{answer.module}: yes, but without {several(answer.without)}")
        if not answer.allowed:
            word = "not" if answer.allowed is False else "not known"
            yield from _wrap(f"{answer.module}: {word}: {answer.reason}")


def _limits(report: DependencyReport) -> Iterator[str]:
    if report.unmet:
        yield ""
        yield "  required, but not installed as required:"
        for unmet in report.unmet[:_MOST_UNMET]:
            by = unmet.required_by or "what was asked for"
            has = "missing" if unmet.installed is None else f"installed is {unmet.installed}"
            yield f"    {unmet.requirement} (by {by}): {has}"
        if len(report.unmet) > _MOST_UNMET:
            yield f"    and {len(report.unmet) - _MOST_UNMET} more"
    if report.calibration.failure is not None:
        yield ""
        yield from _wrap(f"declared slots were not read: {report.calibration.failure}", 2)
    probe = report.gil_probe
    if probe is not None and not probe.ran:
        yield ""
        yield from _wrap(f"nothing was imported: {probe.reason}", 2)
    if probe is not None and probe.failed:
        yield ""
        yield f"  {len(probe.failed)} modules could not be imported, so what they import was not seen:"
        for failed in probe.failed[:_MOST_FAILED]:
            yield from _wrap(f"{failed.module}: {failed.reason.splitlines()[0]}")


def _wrap(text: str, indent: int = 4) -> list[str]:
    pad = " " * indent
    # Paths are to be copied, so they are never broken.
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=pad,
        subsequent_indent=pad + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
