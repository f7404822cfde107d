"""Files of the product: uploads, exports. Named by the server, written whole or not at all."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

Read = Callable[[int], Awaitable[bytes]]
_PIECE_BYTES = 1 << 18


class Stored(NamedTuple):
    """A file that was written: its path below the data folder, its size and hash."""

    path: str
    size_bytes: int
    sha256: str


class TooLargeError(Exception):
    """More came than was allowed; nothing was kept."""


def _finish(file: BinaryIO, temporary: Path, final: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    temporary.replace(final)


def _drop(file: BinaryIO, temporary: Path) -> None:
    file.close()
    temporary.unlink(missing_ok=True)


async def store(
    data_dir: Path, folder: str, pieces: AsyncIterator[bytes], max_bytes: int | None = None
) -> Stored:
    """Write pieces to a new file below `data_dir`/`folder`, which is there whole or not at all.

    Raises TooLargeError as soon as more than `max_bytes` came. Cancellation: removes what was
    written.
    """
    where = data_dir / folder
    name = uuid4().hex
    temporary, final = where / f".{name}.part", where / name
    await asyncio.to_thread(where.mkdir, parents=True, exist_ok=True)
    file = await asyncio.to_thread(temporary.open, "wb")
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        async for piece in pieces:
            size_bytes += len(piece)
            if max_bytes is not None and size_bytes > max_bytes:
                raise TooLargeError(f"more than {max_bytes:,} bytes")
            await asyncio.to_thread(_write, file, digest.update, piece)
        await asyncio.to_thread(_finish, file, temporary, final)
    except BaseException:
        _drop(file, temporary)
        raise
    return Stored(f"{folder}/{name}", size_bytes, digest.hexdigest())


def _write(file: BinaryIO, update: Callable[[bytes], None], piece: bytes) -> None:
    update(piece)
    file.write(piece)


async def pieces_of(read: Read) -> AsyncIterator[bytes]:
    """Yield what `read` (of an upload, say) returns until it is empty."""
    while piece := await read(_PIECE_BYTES):
        yield piece


def resolved(data_dir: Path, path: str) -> Path:
    """Return the file that a row names; ValueError for a path that leads out of the folder."""
    base = data_dir.resolve()
    found = (base / path).resolve()
    if not found.is_relative_to(base):
        raise ValueError(f"{path!r} leads out of the data folder")
    return found


def write_whole(final: Path, content: bytes) -> None:
    """Write a small file at once, whole or not at all. Blocks: call it in a thread."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            # Steps that name it are on the disk before long, and it must not be empty then.
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
