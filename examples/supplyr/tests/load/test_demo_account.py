"""The demonstration lets whoever looks at it in, with a password that no other run has."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from supplyr import demo
from supplyr.accounts import verify_password
from supplyr.db.database import Row
from supplyr.db.opening import opened
from supplyr.settings import Settings
from supplyr.store import users
from supplyr_load.data import Account, give_account


def _user(folder: Path, email: str) -> Row:
    async def found() -> Row:
        async with opened(Settings(data_dir=folder)) as database:
            row = await users.by_email(database, email)
        assert row is not None
        return row

    return asyncio.run(found())


def test_each_run_has_a_password_of_its_own(tmp_path: Path) -> None:
    first = give_account(tmp_path)
    assert verify_password(_user(tmp_path, first.email)["password_hash"], first.password)
    second = give_account(tmp_path)
    assert second.email == first.email
    assert second.password != first.password
    row = _user(tmp_path, second.email)
    assert row["role"] == "admin"
    assert verify_password(row["password_hash"], second.password)
    assert not verify_password(row["password_hash"], first.password)


def test_the_demonstration_says_how_to_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextlib.contextmanager
    def running(_folder: Path) -> Iterator[tuple[str, Account]]:
        yield "http://127.0.0.1:1/", Account("demo@supplyr.example", "of-this-run")

    monkeypatch.setattr(demo, "running", running)
    monkeypatch.setattr(demo, "_demonstrate", lambda *_: False)
    monkeypatch.setattr(demo, "end_on_sigterm", lambda: None)
    assert demo.main(["--output", str(tmp_path)]) == 0
    said = capsys.readouterr()
    told = " ".join((said.out + said.err).split())
    assert "log in as demo@supplyr.example with of-this-run" in told
