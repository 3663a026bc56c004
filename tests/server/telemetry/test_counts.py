"""Counts and their text, and the names that labels may have."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inferry.server.telemetry.counts import Cells, Count, Reading, Spread
from inferry.server.telemetry.meters import Meters
from inferry.server.telemetry.names import Names
from inferry.server.telemetry.text import print_readings
from inferry.wire.figures import ATTEMPTS, COMMIT_OPERATIONS, OTHER, TASK_WAIT


def test_a_value_is_in_the_bucket_that_holds_it_and_a_bound_in_its_own() -> None:
    spread = Spread(COMMIT_OPERATIONS)
    for value in (-1, 1, 2, 3, 256, 257):
        spread.note((), value)
    (reading,) = spread.read()
    assert isinstance(reading.value, Cells)
    assert reading.value == Cells((2, 1, 1, 0, 0, 0, 0, 0, 1, 1), 519)


def test_buckets_are_told_as_sums_up_to_their_bounds() -> None:
    spread = Spread(TASK_WAIT)
    for value in (0.0005, 0.002, 90_000):
        spread.note(("echo",), value)
    text, _ = print_readings(spread.read(), "")
    (family,) = text_string_to_metric_families(text.decode())
    buckets = {one.labels["le"]: one.value for one in family.samples if "le" in one.labels}
    assert [buckets[bound] for bound in ("0.001", "0.0025", "86400.0", "+Inf")] == [1, 2, 2, 3]
    values = {one.name: one.value for one in family.samples}
    assert values["inferry_task_wait_seconds_count"] == 3
    assert values["inferry_task_wait_seconds_sum"] == pytest.approx(90_000.0025)


def test_what_is_known_and_has_not_happened_is_told_as_nothing() -> None:
    count, spread = Count(ATTEMPTS), Spread(TASK_WAIT)
    count.add(("http", "lost"), 0)
    spread.know(("echo",))
    assert [*count.read()] == [Reading(ATTEMPTS, ("http", "lost"), 0)]
    (reading,) = spread.read()
    assert isinstance(reading.value, Cells)
    assert not any(reading.value.counts)


def test_a_name_with_odd_characters_is_told_as_it_is() -> None:
    name = 'a "name" \\ of\nsomebody'
    text, _ = print_readings([Reading(TASK_WAIT, (name,), Cells((0,) * 25, 0))], "")
    (family,) = text_string_to_metric_families(text.decode())
    assert {one.labels["type"] for one in family.samples} == {name}


def test_so_many_names_are_known_and_all_others_are_one() -> None:
    names = Names(2, ("a",))
    assert [names.learn(name) for name in ("a", "b", "c")] == [False, True, False]
    assert [names.label(name) for name in ("a", "b", "c")] == ["a", "b", OTHER]


def test_every_count_is_read() -> None:
    meters = Meters()
    meters.attempts.add(("http", "lost"))
    meters.commit.note((), 1)
    meters.webhook_deliveries.add(("delivered",))
    assert {reading.figure.name for reading in meters.read()} == {
        "inferry_attempts",
        "inferry_commit_seconds",
        "inferry_webhook_deliveries",
    }
