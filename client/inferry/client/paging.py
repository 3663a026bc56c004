"""The pages of a list: each comes once, whatever the gateway says."""

from typing import Protocol

from inferry.client.failures import odd_error


class Paged(Protocol):
    """A request for a page."""

    #: Of the page; empty for the first one.
    page_token: str


class Pages:
    """Knows which pages of one list were asked for."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def turn(self, request: Paged, token: str) -> bool:
        """Asks for the page after the one that came; False if that was the last.

        Args:
            request: Gets the token.
            token: What the page that came says of the next one.

        Raises:
            InferryError: That page was asked for before: such a list has no end.
        """
        if token in self._asked:
            raise odd_error(f"the list goes on with a page that was there before ({token})")
        self._asked.add(token)
        request.page_token = token
        return bool(token)
