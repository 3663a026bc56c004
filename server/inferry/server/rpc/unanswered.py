"""Counts the calls that are to get one answer and have not got it."""

import asyncio


class Unanswered:
    """The count; a call is in it from the beginning of ``with`` to its end."""

    def __init__(self) -> None:
        self._count = 0
        #: Set while there are none.
        self.none = asyncio.Event()
        self.none.set()

    def __enter__(self) -> None:
        self._count += 1
        self.none.clear()

    def __exit__(self, *_raised: object) -> None:
        self._count -= 1
        if not self._count:
            self.none.set()
