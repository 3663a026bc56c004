"""Ids: a prefix that says what it names, and a ULID."""

import os
import time

from ulid_transform import bytes_to_ulid

_RANDOM_BITS, _RANDOM_BYTES = 80, 10
#: By how much the next id of the same millisecond is larger, at most.
_STEP_BYTES = 4
#: What is asked of the system at once: a call takes longer than all else.
_FETCHED_BYTES = 4_096


class Ulids:
    """Makes ULIDs, each larger than all before: 48 bits of milliseconds, 80 of the system's chance.

    Within a millisecond, and while the clock stands behind, the next one is the last and a random
    step.
    """

    def __init__(self) -> None:
        self._last = 0
        #: What the system gave, and how much of it was used.
        self._chance = b""
        self._used = 0

    def new(self, now_ms: int) -> str:
        """Makes the next one; its time is ``now_ms``, or that of the last one if it is later."""
        if now_ms > self._last >> _RANDOM_BITS:
            made = now_ms << _RANDOM_BITS | self._random(_RANDOM_BYTES)
        else:
            made = self._last + 1 + self._random(_STEP_BYTES)
        self._last = made
        return bytes_to_ulid(made.to_bytes(16))

    def _random(self, size: int) -> int:
        if self._used + size > len(self._chance):
            self._chance, self._used = os.urandom(_FETCHED_BYTES), 0
        begin, self._used = self._used, self._used + size
        return int.from_bytes(self._chance[begin : self._used])


_ulids = Ulids()


def new_task_id() -> str:
    """Makes a task's id."""
    return f"task_{new_ulid()}"


def new_server_id() -> str:
    """Makes a server's id."""
    return f"srv_{new_ulid()}"


def new_hook_id() -> str:
    """Makes a webhook's id."""
    return f"whk_{new_ulid()}"


def new_ulid() -> str:
    """Makes a ULID of this time."""
    return _ulids.new(time.time_ns() // 1_000_000)
