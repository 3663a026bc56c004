"""What an attempt counts for in the hash by which a worker and the gateway compare what it holds.

The exclusive or of the marks of all attempts: in any order, and one that comes or goes costs one.
"""

from collections.abc import Iterable
from hashlib import sha256

#: Bytes of a mark.
_BYTES = 8


def mark(task_id: str, attempt: int) -> int:
    """Gives the mark of an attempt: the first 8 bytes of ``SHA-256({task_id}:{attempt})``."""
    return int.from_bytes(sha256(f"{task_id}:{attempt}".encode()).digest()[:_BYTES])


def held_hash(attempts: Iterable[tuple[str, int]]) -> int:
    """Gives the hash of attempts, each a task's id and a number; 0 without any."""
    found = 0
    for task_id, attempt in attempts:
        found ^= mark(task_id, attempt)
    return found
