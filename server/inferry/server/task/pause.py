"""A type whose tasks are held back. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PausedType:
    """A type whose tasks are held back on an operator's word."""

    type: str
    #: Why, for a person; empty when nobody said.
    reason: str
    since_ms: int
