"""Files are replaced whole or not at all. Permission bits do not bind root, so missing paths stand in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lanewise.errors import MeasureError
from lanewise.measuring.store import check_writable, write_atomically


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_atomically(tmp_path / "plan.toml", "größe = 1\n")
    assert (tmp_path / "plan.toml").read_bytes() == "größe = 1\n".encode()
    assert names_in(tmp_path) == ["plan.toml"]


def test_a_reader_that_has_the_old_file_open_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("old" * 1000)
    with path.open() as reader:
        first = reader.read(3)
        write_atomically(path, "new")
        assert first + reader.read() == "old" * 1000
    assert path.read_text() == "new"


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664, 0o755])
def test_the_permissions_are_kept(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("old")
    path.chmod(permissions)
    write_atomically(path, "new")
    assert mode(path) == permissions


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_permissions_of_any_other(
    tmp_path: Path, mask: int, expected: int
) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "plan.toml", "new")
    finally:
        left = os.umask(before)
    assert mode(tmp_path / "plan.toml") == expected
    assert left == mask


def below_a_file(directory: Path) -> Path:
    (directory / "file").write_text("")
    return directory / "file" / "plan.toml"


def in_a_missing_directory(directory: Path) -> Path:
    return directory / "missing" / "plan.toml"


def a_directory(directory: Path) -> Path:
    (directory / "plan.toml").mkdir()
    return directory / "plan.toml"


def with_too_long_a_name(directory: Path) -> Path:
    return directory / ("n" * 300)


@pytest.mark.parametrize(
    "place", [below_a_file, in_a_missing_directory, a_directory, with_too_long_a_name]
)
@pytest.mark.parametrize("action", [check_writable, lambda path: write_atomically(path, "text")])
def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(
    tmp_path: Path, place: object, action: object
) -> None:
    path = place(tmp_path)  # type: ignore[operator]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MeasureError) as caught:
        action(path)  # type: ignore[operator]
    assert str(path.parent) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="permission bits do not bind root")
def test_a_read_only_directory_is_told_before_an_hour_is_spent(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MeasureError, match="nothing can be written"):
        check_writable(tmp_path / "plan.toml")
    tmp_path.chmod(0o700)


def test_checking_leaves_an_existing_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("old")
    check_writable(path)
    check_writable(tmp_path / "other.toml")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["plan.toml"]


def test_text_that_cannot_be_encoded_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Names from the command line can hold lone surrogates (PEP 383)."""
    path = tmp_path / "plan.toml"
    path.write_text("old")
    with pytest.raises(MeasureError, match=r"plan\.toml"):
        write_atomically(path, "target = '\udcff'")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["plan.toml"]
