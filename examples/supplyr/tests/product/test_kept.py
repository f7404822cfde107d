"""Answers that are kept: made once, whoever leaves, and made again when they are old."""

import asyncio

import pytest

from supplyr.kept import Kept


async def test_it_is_made_once_for_all_who_ask_at_once() -> None:
    made = 0
    go = asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await go.wait()
        return made

    kept: Kept[int] = Kept(10.0, 5)
    asking = [asyncio.create_task(kept.get("a", make)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    go.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 4
    assert await kept.get("a", make) == 1
    await kept.close()


async def test_what_is_old_or_failed_is_made_again() -> None:
    now = [0.0]
    answers = iter([1, 2])

    async def make() -> int:
        return next(answers)

    async def fail() -> int:
        raise ZeroDivisionError

    kept: Kept[int] = Kept(10.0, 5, lambda: now[0])
    with pytest.raises(ZeroDivisionError):
        await kept.get("a", fail)
    assert await kept.get("a", make) == 1
    now[0] = 10.0
    assert await kept.get("a", make) == 1
    now[0] = 10.1
    assert await kept.get("a", make) == 2


async def test_no_more_are_kept_than_was_said() -> None:
    made: list[str] = []

    async def make(key: str) -> str:
        made.append(key)
        return key

    kept: Kept[str] = Kept(10.0, 2)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert await kept.get(key, lambda key=key: make(key)) == key  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]


async def test_what_is_old_is_given_while_the_next_is_made() -> None:
    now = [0.0]
    go = asyncio.Event()
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        if made == 2:
            await go.wait()
        return made

    kept: Kept[int] = Kept(10.0, 5, lambda: now[0], old_for_s=5.0)
    assert await kept.get("a", make) == 1
    now[0] = 15.0
    # However many ask, none waits, and one answer is made.
    assert [await kept.get("a", make) for _ in range(3)] == [1] * 3
    await asyncio.sleep(0)
    assert made == 2
    go.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await kept.get("a", make) == 2
    now[0] = 30.1  # too old to be given
    assert await kept.get("a", make) == 3
    await kept.close()


async def test_what_is_not_worth_it_is_not_kept() -> None:
    answers = iter([0, 7, 8])

    async def make() -> int:
        return next(answers)

    kept: Kept[int] = Kept(10.0, 5, old_for_s=5.0)
    assert [await kept.get("a", make, worth=bool) for _ in range(3)] == [0, 7, 7]


async def test_one_answer_may_be_good_for_a_shorter_time() -> None:
    now = [0.0]
    answers = iter([1, 2])

    async def make() -> int:
        return next(answers)

    kept: Kept[int] = Kept(10.0, 5, lambda: now[0])
    assert await kept.get("a", make, for_s=2.0) == 1
    now[0] = 3.0
    assert await kept.get("a", make) == 1
    assert await kept.get("a", make, for_s=2.0) == 2
