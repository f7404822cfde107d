"""Old uploads and exports are deleted; what is needed, or may be, is not."""

import os
import time
from pathlib import Path

import pytest

from supplyr.__main__ import main
from supplyr.db.database import Database
from supplyr.jobs.cleaning import Cleaned, clean
from supplyr.settings import Settings, SettingsError
from supplyr.store import job_records, jobs, uploads
from supplyr.store.jobs import NewJob
from supplyr.store.uploads import NewUpload

from .jobs_support import add_user, one

_DAY_S = 86_400.0
NOW_S = 1_800_000_000.0


def _file(settings: Settings, path: str, age_days: float = 0.0) -> Path:
    found = settings.data_dir / path
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(b"Name\nA\n")
    os.utime(found, (NOW_S - age_days * _DAY_S,) * 2)
    return found


async def _upload(database: Database, settings: Settings, user: int, name: str, days: float) -> int:
    path = f"uploads/{name}"
    _file(settings, path, days)
    async with database.transaction() as transaction:
        number = await uploads.add(
            transaction, NewUpload(user, "suppliers", None, path, "s.csv", 7, "x", {})
        )
        await transaction.execute(
            "UPDATE uploads SET created_at_s = ? WHERE id = ?", (NOW_S - days * _DAY_S, number)
        )
    return number


async def _job(database: Database, user: int, kind: str, payload: dict[str, str]) -> int:
    async with database.transaction() as transaction:
        row, _ = await jobs.add(transaction, NewJob(kind, user, payload, None, "h"))
    return int(row["id"])


async def test_what_has_had_its_time_goes_and_nothing_else(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    old = await _upload(database, settings, user, "old", 31)
    young = await _upload(database, settings, user, "young", 29)
    needed = await _upload(database, settings, user, "needed", 99)
    await _job(database, user, "import", {"upload": "uploads/needed"})
    export = await _job(database, user, "export", {"format": "csv"})
    for name, days in (("exports/old", 8), ("exports/young", 6)):
        _file(settings, name, days)
        async with database.transaction() as transaction:
            await job_records.add_file(transaction, export, "output", name, "s.csv", "text/csv", 7)
            await transaction.execute(
                "UPDATE job_files SET created_at_s = ? WHERE path = ?",
                (NOW_S - days * _DAY_S, name),
            )
    assert await clean(database, settings, NOW_S) == Cleaned(1, 1, 0)
    left = {str(path.relative_to(settings.data_dir)) for path in settings.data_dir.rglob("*")}
    assert {"uploads/young", "uploads/needed", "exports/young"} <= left
    assert not {"uploads/old", "exports/old"} & left
    assert await uploads.get(database, old, user) is None
    assert await uploads.get(database, young, user) is not None
    assert await uploads.get(database, needed, user) is not None
    file = await job_records.file_of(database, export, "output")
    assert file is not None
    assert file["path"] == "exports/young"
    assert await clean(database, settings, NOW_S) == Cleaned(0, 0, 0)


async def test_what_killed_servers_left_behind_goes_after_a_day(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    job = await _job(database, user, "export", {"format": "csv"})
    _file(settings, f"jobs/{job}/parts/000000", 9)
    _file(settings, "jobs/987654/parts/000000", 9)
    for folder in (f"jobs/{job}", "jobs/987654"):
        os.utime(settings.data_dir / folder, (NOW_S - 9 * _DAY_S,) * 2)
    for name in ("uploads/.a.part", "exports/nobodys", "scratch/spool"):
        _file(settings, name, 2)
    for name in ("uploads/.b.part", "exports/just-written"):
        _file(settings, name, 0.5)
    elsewhere = _file(settings, "secret-key", 99)
    assert await clean(database, settings, NOW_S) == Cleaned(0, 0, 4)
    left = {str(path.relative_to(settings.data_dir)) for path in settings.data_dir.rglob("*")}
    assert {f"jobs/{job}/parts/000000", "uploads/.b.part", "exports/just-written"} <= left
    assert not {"jobs/987654", "uploads/.a.part", "exports/nobodys", "scratch/spool"} & left
    assert elsewhere.exists()


async def test_a_link_leads_nowhere(database: Database, settings: Settings, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    where = settings.data_dir / "uploads"
    where.mkdir(parents=True, exist_ok=True)
    (where / "link").symlink_to(kept)
    os.utime(where / "link", (NOW_S - 9 * _DAY_S,) * 2, follow_symlinks=False)
    with pytest.raises(ValueError, match="leads out"):
        await clean(database, settings, NOW_S)
    assert kept.read_text() == "mine"
    assert await one(database, "SELECT count(*) FROM uploads") == 0


def test_the_command_says_what_it_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = tmp_path / "data" / "uploads" / ".x.part"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    long_ago_s = time.time() - 9 * _DAY_S
    os.utime(stray, (long_ago_s, long_ago_s))
    assert main(["--data-dir", str(tmp_path / "data"), "clean"]) == 0
    assert "1 stray" in capsys.readouterr().out
    assert not stray.exists()


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan")])
def test_keeping_nothing_is_refused(days: float) -> None:
    with pytest.raises(SettingsError, match="SUPPLYR_KEEP_EXPORTS_DAYS"):
        Settings(keep_exports_days=days)
