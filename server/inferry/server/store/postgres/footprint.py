"""Proof that the process that was a replica here before is gone: nobody has to wait for its lease.

That its connections are gone proves nothing: it may be cut off from the database, and call servers
all the same. A lock that a kernel keeps for a process ends with that, however it ends, and not
before. It has to be the same kernel, still running: another one cannot know.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from inferry.server.store.operations import Epoch

_NAME = "replica.lock"
#: Names a kernel from its start to its end.
_KERNEL = Path("/proc/sys/kernel/random/boot_id")
_LONGEST = 200


class Footprint:
    """A file that says which replica the process is that has it locked.

    Args:
        folder: Where it is, on a file system of this machine; None leaves none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._fd: int | None = None

    def find(self) -> Epoch | None:
        """Takes the place; tells which replica was here whose process is gone, if that is sure."""
        if self._folder is None:
            return None
        # Where nothing can be written, or another process is, nothing is known.
        with suppress(OSError, ValueError):
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            fd = os.open(self._folder / _NAME, flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise
            self._fd = fd
            kernel, number, tag = os.pread(fd, _LONGEST, 0).decode("ascii").split()
            if kernel == _kernel():
                return Epoch(int(number), int(tag))
        return None

    def leave(self, epoch: Epoch) -> None:
        """Says which replica this process is."""
        if self._fd is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, f"{_kernel()} {epoch.number} {epoch.tag}\n".encode(), 0)

    def release(self) -> None:
        """Lets go: whatever this replica does has come to its end."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _kernel() -> str:
    return _KERNEL.read_text().strip()
