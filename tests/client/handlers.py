"""What the fake gateways of these tests run."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

WITHIN_S = 20


class FormatError(Exception):
    code = "INVALID_FORMAT"
    details = {"format": "x"}  # noqa: RUF012 - never changed


def double(payload: dict[str, int]) -> int:
    return 2 * payload["n"]


async def double_later(payload: dict[str, int]) -> int:
    await asyncio.sleep(0)
    return 2 * payload["n"]


def fail(_: Any) -> None:
    raise FormatError("no such format")


def measure(payload: dict[str, int]) -> dict[str, int]:
    return {"area": payload["width"] * payload["height"]}


HANDLERS: dict[str, Callable[..., Any]] = {
    "double": double,
    "double-later": double_later,
    "fail": fail,
    "measure": measure,
}


def holding() -> tuple[Callable[[Any], str], Callable[[], None]]:
    """Makes a handler that ends when it is released."""
    released = Event()

    def hold(_: Any) -> str:
        assert released.wait(WITHIN_S)
        return "held"

    return hold, released.set
