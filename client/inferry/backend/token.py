"""The token that a backend shows the gateway."""

import asyncio
import os
from collections.abc import Callable

from inferry.backend.errors import RefusedError

#: A token, or what gives one; None sends none.
Token = str | Callable[[], str | None] | None

#: Holds the token where none is given.
VARIABLE = "INFERRY_TOKEN"


def token_or_variable(token: Token) -> Token:
    """Gives the token of the environment where none is given.

    Raises:
        RefusedError: There is none there either, and no gateway takes a backend without one.
    """
    found = os.environ.get(VARIABLE) if token is None else token
    if not found:
        raise RefusedError(
            f"no token: give token= or set {VARIABLE}; `inferry token --role backend` makes one "
            "on the gateway's machine, and one of role admin is for an HTTP backend at a private "
            "address"
        )
    return found


async def current_token(token: Token) -> str:
    """Gives the token of now, empty for none; one that is made takes its time on another thread.

    Raises:
        RefusedError: No header can carry it, so that it is none.
    """
    now = await asyncio.to_thread(token) if callable(token) else token
    if now and not (now.isascii() and now.isprintable()):
        raise RefusedError("the token holds what no token does: it is of printable ASCII")
    return now or ""
