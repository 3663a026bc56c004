"""A short soak, and the gauge that a long one goes by."""

from pathlib import Path

import pytest

from tests.soak.gauge import Sample, trend
from tests.soak.soak import soak

SECONDS = 20
RATE = 20


def samples(*, mib_a_minute: float = 0.0, descriptors_a_minute: float = 0.0) -> list[Sample]:
    return [
        Sample(
            60.0 + second,
            100.0 + second % 3 + mib_a_minute * second / 60,
            40 + second % 2 + int(descriptors_a_minute * second / 60),
        )
        for second in range(0, 540, 5)
    ]


def test_what_goes_up_and_down_is_flat() -> None:
    found = trend("gateway", samples())
    assert found.flat
    assert found.rss_mib_a_minute == pytest.approx(0.0, abs=0.01)


def test_memory_that_leaks_is_found() -> None:
    found = trend("gateway", samples(mib_a_minute=2.0))
    assert not found.flat
    assert found.rss_mib_a_minute == pytest.approx(2.0, abs=0.01)


def test_descriptors_that_leak_are_found() -> None:
    assert not trend("gateway", samples(descriptors_a_minute=1.0)).flat


async def test_descriptors_are_flat_at_a_steady_load_of_which_a_tenth_is_broken_off(
    tmp_path: Path,
) -> None:
    verdict = await soak(tmp_path, SECONDS, RATE)
    # Memory is a matter of minutes.
    assert [one.name for one in verdict.trends if one.descriptors_more > 3] == []
    assert "broken off" in verdict.done
    assert "one" in verdict.done
