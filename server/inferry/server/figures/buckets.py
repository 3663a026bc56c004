"""Durations as counts in fixed buckets, which add up whoever counted them.

Four buckets double a duration: what is told of one is its middle, so that it is off by 9.1 % at
most (the eighth root of 2), from 1 ms up to a week.
"""

from collections.abc import Mapping
from math import ceil, log2

#: Buckets between a duration and its double.
PER_DOUBLING = 4
#: How far a quantile may be from the duration that it stands for: one part of this.
ERROR = 2 ** (1 / (2 * PER_DOUBLING)) - 1
#: The last one: a week, and all that is longer.
LAST = int(log2(7 * 86_400_000) * PER_DOUBLING)

#: How many durations were in each bucket.
Histogram = dict[int, int]


def bucket_of(ms: int) -> int:
    """Finds the bucket of a duration."""
    return min(int(log2(ms) * PER_DOUBLING), LAST) if ms > 1 else 0


def middle_of(bucket: int) -> float:
    """Gives what stands for the durations of a bucket, in milliseconds."""
    return float(2 ** ((bucket + 0.5) / PER_DOUBLING)) if bucket else 1.0


def quantile(histogram: Mapping[int, int], share: float) -> float:
    """Finds a duration that this share of all does not exceed, in milliseconds; -1 of none."""
    rank = ceil(sum(histogram.values()) * share)
    for bucket in sorted(histogram):
        rank -= histogram[bucket]
        if rank <= 0:
            return middle_of(bucket)
    return -1.0
