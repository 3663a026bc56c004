"""What is done with one-time codes."""

from dataclasses import dataclass

from inferry.server.access.codes import KeptCode


@dataclass(frozen=True, slots=True)
class PutCode:
    """Keeps a one-time code. Result: None."""

    kept: KeptCode


@dataclass(frozen=True, slots=True)
class TakeCode:
    """Drops a one-time code. Result: what was kept of it; None if it was over, or is not there."""

    hash: bytes
    now_ms: int


CodeOperation = PutCode | TakeCode
