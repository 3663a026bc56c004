"""Hands things to a loop from any thread: many of them for one wake-up."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Has a loop read what is put in, in its order.

    Args:
        loop: Where it is read.
        read: Reads one thing there; must not raise.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, read: Callable[[Item], None]) -> None:
        self._loop = loop
        self._read = read
        self._items: deque[Item] = deque()
        #: Whether the loop is on its way. Appending before looking makes a lost wake-up impossible.
        self._called = False

    def put(self, item: Item) -> None:
        """Puts a thing in; what comes after the loop's end is dropped."""
        self._items.append(item)
        if not self._called:
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._empty)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise

    def _empty(self) -> None:
        # Before the first look: what is put in from here on calls again.
        self._called = False
        while self._items:
            self._read(self._items.popleft())
