"""Modules that nobody requires and that come all the same; modules that end who imports them."""

from __future__ import annotations

from tests.unit.test_dependencies_verdicts import REQUIRER, evidence, slots, verdict

from lanewise.readiness.dependencies.gil_probe import FailedImport, LockRequirer

GUEST = LockRequirer("other._c", "/site/other/_c.so", (), "pack")
DEATH = FailedImport("pack._native", "the process died of it: exit code 3", died=True)


def test_what_a_package_brings_in_without_requiring_it_counts_against_it() -> None:
    judgement = verdict(evidence(slots("not_used"), guests=(GUEST,)))
    assert judgement.verdict == "brings_lock_back"
    (reason,) = judgement.reasons
    assert reason.startswith("importing pack brought other._c in, which switched the lock on")
    assert "look for a release of other._c" in str(judgement.advice)


def test_a_pure_package_may_do_so_too() -> None:
    assert verdict(evidence(binary=False, guests=(GUEST,))).verdict == "brings_lock_back"


def test_what_its_own_tests_bring_in_does_not_count() -> None:
    guest = LockRequirer("other._c", "/site/other/_c.so", (), "pack.tests.test_all")
    assert verdict(evidence(slots("not_used"), guests=(guest,))).verdict == "ready"


def test_both_are_told_and_the_advice_is_about_the_package() -> None:
    judgement = verdict(evidence(slots("used"), requirers=(REQUIRER,), guests=(GUEST,)))
    assert [reason.split()[0] for reason in judgement.reasons] == ["pack._native", "importing"]
    assert "look for a release of pack that" in str(judgement.advice)


def test_a_declaration_is_worth_nothing_while_importing_ends_the_process() -> None:
    judgement = verdict(evidence(slots("not_used"), deaths=(DEATH,)))
    assert judgement.verdict == "unknown"
    assert "exit code 3" in judgement.reasons[0]
