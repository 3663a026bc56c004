"""The values that a label may have: a list that cannot grow without end, and one word for the rest.

What a client says is never among them. A type is one if a server is capable of it or the settings
name it, a tenant if the settings do.
"""

from collections.abc import Iterable, Iterator

from inferry.wire.figures import OTHER


class Names:
    """Known names.

    Args:
        limit: How many there may be.
        known: Those that are known from the beginning.
    """

    def __init__(self, limit: int, known: Iterable[str] = ()) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}
        for name in known:
            self.learn(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def learn(self, name: str) -> bool:
        """Gets to know a name if there is room; tells whether it is new."""
        if name in self._known or len(self._known) >= self._limit:
            return False
        self._known[name] = name
        return True

    def label(self, name: str) -> str:
        """Gives what stands for a name: itself, or the word for all others."""
        return self._known.get(name, OTHER)
