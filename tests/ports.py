"""Ports that are this process's own, also while nobody listens on them.

A gateway that is started again needs the port that it had. One that the system picked may be taken
meanwhile: by an outgoing connection, or by the tests of another checkout on the same machine.
"""

import fcntl
import socket
import tempfile
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from random import SystemRandom
from typing import IO

#: Below those that outgoing connections get.
_FIRST, _LAST = 10_000, 32_000
#: Ports that one process has.
BLOCK = 100


class OwnPorts:
    """A block of ports, which no other process has that asks here.

    Args:
        folder: Where the blocks are locked; the same for all on a machine.

    Raises:
        OSError: All blocks are taken.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        blocks = list(range(_FIRST, _LAST, BLOCK))
        SystemRandom().shuffle(blocks)
        for first in blocks:
            lock = (folder / str(first)).open("w")
            # Held until it is closed, by the end of this process at the latest.
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock: IO[str] = lock
                self._ports = range(first, first + BLOCK)
                self._next = cycle(self._ports)
                return
            lock.close()
        raise OSError(f"all {len(blocks)} blocks of ports are taken: see {folder}")

    def take(self) -> int:
        """Gives a port on which nobody listens now; not the same again soon.

        Raises:
            OSError: There is none.
        """
        for _ in self._ports:
            port = next(self._next)
            with suppress(OSError):
                socket.create_server(("127.0.0.1", port)).close()
                return port
        raise OSError(f"somebody listens on each port of {self._ports}")

    def close(self) -> None:
        """Leaves the block to others."""
        self._lock.close()


_OWN: list[OwnPorts] = []


def own_port() -> int:
    """Gives a port of this process on which nobody listens now."""
    if not _OWN:
        _OWN.append(OwnPorts(Path(tempfile.gettempdir(), "inferry-test-ports")))
    return _OWN[0].take()
