"""Durations in buckets: a quantile is within the error that is stated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.figures.buckets import ERROR, LAST, bucket_of, middle_of, quantile

WEEK_MS = 7 * 86_400_000


def counted(durations: list[int]) -> dict[int, int]:
    histogram: dict[int, int] = {}
    for ms in durations:
        histogram[bucket_of(ms)] = histogram.get(bucket_of(ms), 0) + 1
    return histogram


@given(st.integers(1, WEEK_MS))
def test_a_bucket_stands_for_its_durations_within_the_error(ms: int) -> None:
    assert middle_of(bucket_of(ms)) == pytest.approx(ms, rel=ERROR + 1e-9)


@given(st.lists(st.integers(1, WEEK_MS), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_that_of_the_durations_within_the_error(
    durations: list[int], share: float
) -> None:
    rank = -(-len(durations) * round(share * 100) // 100)
    exact = sorted(durations)[rank - 1]
    assert quantile(counted(durations), share) == pytest.approx(exact, rel=ERROR + 1e-9)


def test_nothing_has_no_quantile() -> None:
    assert quantile({}, 0.5) == -1


@pytest.mark.parametrize(("ms", "bucket"), [(-5, 0), (0, 0), (1, 0), (2, 4), (50 * WEEK_MS, LAST)])
def test_a_duration_of_any_length_has_a_bucket(ms: int, bucket: int) -> None:
    assert bucket_of(ms) == bucket
