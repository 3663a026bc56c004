"""What a process has of memory and descriptors over time, and whether that is flat. Pure but for
``measure``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import psutil

_MIB = 1024 * 1024
#: What a process may have more in the end than when it had warmed up: memory in MiB and as a share
#: of what it had, descriptors.
_MIB_MORE = 4.0
_SHARE_MORE = 0.05
_DESCRIPTORS_MORE = 3
#: Samples at both ends that are compared: single ones are a matter of the moment.
_PART = 3


class Sample(NamedTuple):
    """What a process has at a time."""

    at_s: float
    #: Of memory, but for SQLite's.
    rss_mib: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Trend:
    """How what a process has changed from when it had warmed up to the end."""

    name: str
    seconds: float
    rss_mib: float
    rss_more_mib: float
    #: By the least squares.
    rss_mib_a_minute: float
    descriptors: float
    descriptors_more: float

    @property
    def flat(self) -> bool:
        """Whether it has no more than it may."""
        most_mib = _MIB_MORE + _SHARE_MORE * self.rss_mib
        return self.rss_more_mib <= most_mib and self.descriptors_more <= _DESCRIPTORS_MORE

    def __str__(self) -> str:
        verdict = "flat" if self.flat else "GROWS"
        return (
            f"{self.name:8} {self.rss_mib:7.1f} MiB {self.rss_more_mib:+6.1f}"
            f" ({self.rss_mib_a_minute:+.2f}/min)   {self.descriptors:4.0f} descriptors"
            f" {self.descriptors_more:+.0f}   {verdict}"
        )


def measure(pid: int, at_s: float, sqlite_bytes: int = 0) -> Sample:
    """Measures a process, in which SQLite has so much."""
    process = psutil.Process(pid)
    rss_mib = (process.memory_info().rss - sqlite_bytes) / _MIB
    return Sample(at_s, rss_mib, process.num_fds())


def trend(name: str, samples: Sequence[Sample]) -> Trend:
    """Tells how it changed.

    Args:
        name: Of the process.
        samples: From when it had warmed up, in order; three at least.
    """
    size = max(1, len(samples) // _PART)
    first, last = samples[:size], samples[-size:]
    rss, descriptors = (median(getattr(one, part) for one in first) for part in Sample._fields[1:])
    return Trend(
        name=name,
        seconds=samples[-1].at_s - samples[0].at_s,
        rss_mib=rss,
        rss_more_mib=median(one.rss_mib for one in last) - rss,
        rss_mib_a_minute=60 * _slope(samples),
        descriptors=descriptors,
        descriptors_more=median(one.descriptors for one in last) - descriptors,
    )


def _slope(samples: Sequence[Sample]) -> float:
    assert all(one.at_s < other.at_s for one, other in pairwise(samples))
    middle_s = sum(one.at_s for one in samples) / len(samples)
    middle_mib = sum(one.rss_mib for one in samples) / len(samples)
    along = sum((one.at_s - middle_s) * (one.rss_mib - middle_mib) for one in samples)
    return along / sum((one.at_s - middle_s) ** 2 for one in samples)
