"""Reckons with vectors, which say how much of the log was seen; see ``store.Vector``."""

from collections.abc import Iterable

from inferry.server.store import POSITION_BITS, Vector
from inferry.server.store.operations import Logged

#: The count of an epoch that was seen whole, and of no other: no epoch has so many events.
_WHOLE = (1 << POSITION_BITS) - 1


def epoch_of(logged: Logged) -> int:
    """Gives the number of the epoch that logged an event."""
    return logged.position >> POSITION_BITS


def count_of(position: int) -> int:
    """Gives how many events its epoch had logged with this one."""
    return position & _WHOLE


def seen(vector: Vector, number: int) -> int:
    """Gives how many events of an epoch a vector has; more than there are if it has all."""
    count = vector.get(number)
    if count is None:
        return _WHOLE if number < max(vector, default=0) else 0
    return count


def has(vector: Vector, position: int) -> bool:
    """Whether the event at a position is in a vector."""
    return seen(vector, position >> POSITION_BITS) >= count_of(position)


def together(one: Vector, other: Vector) -> Vector:
    """Gives the vector that has what either of two has."""
    counts = {number: max(seen(one, number), seen(other, number)) for number in {*one, *other}}
    return {number: count for number, count in counts.items() if count != _WHOLE}


def passed(vector: Vector, page: Iterable[Logged], numbers: Iterable[int]) -> Vector:
    """Adds the events that follow on a vector to it.

    Args:
        vector: What was seen before.
        page: A page of what ``Store.logged`` gave after it.
        numbers: All epochs up to those of the page: of one that is silent so far, nothing is seen.
    """
    counts = {epoch_of(one): count_of(one.position) for one in page}
    highest, last = max(vector, default=0), max(counts, default=0)
    return {number: 0 for number in numbers if highest < number < last} | {**vector, **counts}


def before(vector: Vector, page: Iterable[Logged]) -> Vector:
    """Takes events out of a vector again, and with them whatever of their epochs came later."""
    counts: dict[int, int] = {}
    for one in page:
        counts.setdefault(epoch_of(one), count_of(one.position) - 1)
    return {**vector, **counts}
