"""Keeps a second process away from a file."""

import fcntl
import os
from pathlib import Path

from inferry.server.store import StoreError


class LockedError(StoreError):
    """Another process has the lock."""


class LockFile:
    """An exclusive lock that ends with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Takes the lock and writes this process' id into the file.

        Raises:
            LockedError: Another process has it.
            StoreError: The file cannot be made, or written.
        """
        try:
            self._fd = self._locked()
        except OSError as error:
            # The system's own words would name this file, which nobody asked for.
            raise StoreError(f"{error.strerror}") from error

    def _locked(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            os.close(fd)
            who = f"process {holder}" if holder else "another process"
            raise LockedError(f"{self._path} is locked: {who} has the store open") from None
        except OSError:
            os.close(fd)
            raise
        return fd

    def release(self) -> None:
        """Lets go. The file stays: removing it could take it from under the next holder."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
