"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check went; the word in its table."""

    PASS = "pass"  # noqa: S105  # no password
    #: It works, and not as well as it could.
    WARN = "warn"
    FAIL = "FAIL"
    #: It was not made.
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    name: str
    verdict: Verdict
    #: What was seen.
    text: str
    #: What to mend; empty when nothing needs to be.
    remedy: str = ""


class BrokenContractError(Exception):
    """A backend broke its contract.

    Args:
        seen: What it did.
        remedy: What is right.
    """

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.remedy = remedy
