"""Connections to a SQLite file: how they are set up, and what makes a failed disk good again.

After a sync that failed, the system may go on showing what was written and yet never bring it to
the disk. A write-ahead log that goes on behind such a hole would lose all of it in a power cut. So
a log is trusted no further than to be moved into the database and synced there, whole; then an
empty one begins.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import apsw

from inferry.server.store import StoreError

#: Device and number: whatever its name, no other file has them while this one is open.
FileId: TypeAlias = tuple[int, int]

#: Nobody but a stranger with a shell on the file can make us wait at all.
BUSY_MS = 1_000
#: Between two looks at his lock.
_BUSY_STEP_S = 0.01

_WRITER_PRAGMAS: Mapping[str, str | int] = {
    "journal_mode": "wal",
    "synchronous": "full",
    "temp_store": "memory",
    "cache_size": -65_536,  # KiB
    "wal_autocheckpoint": 0,  # its errors would go unseen, and it would run on the loop
    "journal_size_limit": 67_108_864,
}
_READER_PRAGMAS: Mapping[str, str | int] = {"temp_store": "memory", "cache_size": -16_384}


def create_file(path: str) -> FileId:
    """Makes an empty file if there is none; SQLite gives the files beside it the same mode.

    Raises:
        StoreError: It cannot be made, or is none.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{error.strerror}") from error
    return identify(path)


def identify(path: str) -> FileId:
    """Tells which file is at a path now."""
    stat = Path(path).stat()
    return stat.st_dev, stat.st_ino


def open_writer(path: str) -> apsw.Connection:
    """Opens the connection that writes. It does not wait for a stranger's lock: its user does."""
    return _open(path, apsw.SQLITE_OPEN_READWRITE, _WRITER_PRAGMAS, 0)


async def begin(db: apsw.Connection) -> None:
    """Takes the lock to write. While a stranger has it the loop goes on.

    Raises:
        apsw.BusyError: He kept it for too long.
        apsw.Error: It could not be had.
    """
    give_up_s = time.monotonic() + BUSY_MS / 1_000
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            if time.monotonic() > give_up_s:
                raise
        else:
            return
        await asyncio.sleep(_BUSY_STEP_S)


def open_reader(path: str) -> apsw.Connection:
    """Opens a connection that cannot write."""
    return _open(path, apsw.SQLITE_OPEN_READONLY, _READER_PRAGMAS, BUSY_MS)


def empty_log(db: apsw.Connection) -> None:
    """Moves the whole write-ahead log into the database, synced, and begins an empty one.

    Raises:
        apsw.BusyError: Somebody still reads what was there before.
        apsw.Error: It could not be written.
    """
    db.set_busy_timeout(BUSY_MS)
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        db.set_busy_timeout(0)


def prove(db: apsw.Connection) -> None:
    """Makes sure that a database is whole and that what is written to it gets to the disk.

    From its commit on, nothing of an older log can come back.

    Raises:
        StoreError: The database is damaged.
        apsw.Error: It could not be written or read.
    """
    empty_log(db)
    # The same number again: SQLite writes it all the same.
    db.pragma("user_version", db.pragma("user_version"))
    verdict = db.execute("PRAGMA quick_check(1)").get
    if verdict != "ok":
        raise StoreError(f"the database is damaged: {verdict}")


def _open(path: str, flags: int, pragmas: Mapping[str, str | int], busy_ms: int) -> apsw.Connection:
    db = apsw.Connection(path, flags=flags)
    try:
        db.set_busy_timeout(BUSY_MS)
        for name, value in pragmas.items():
            db.pragma(name, value)
        db.set_busy_timeout(busy_ms)
    except apsw.Error:
        db.close(force=True)
        raise
    return db
