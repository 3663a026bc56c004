from inferry.server.queue.last_minute import LastMinute

NOW = 1_704_067_200_000


def noted(*keys: str, every_ms: int = 1_000) -> LastMinute:
    """Notes keys one after the other, the first now."""
    minute = LastMinute()
    for number, key in enumerate(keys):
        minute.note(key, NOW + number * every_ms)
    return minute


def test_it_counts_each_key_and_all() -> None:
    minute = noted("a", "b", "a")
    assert [minute.count(key, NOW + 3_000) for key in ("a", "b", "c", None)] == [2, 1, 0, 3]


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    minute = noted(*"abab", every_ms=20_000)
    assert minute.count(None, NOW + 60_000) == 3
    assert minute.count("a", NOW + 99_000) == 1
    assert minute.count(None, NOW + 120_000) == 0
    assert not minute._totals


def test_a_rate_counts_from_the_first_of_its_key() -> None:
    minute = noted(*"abbbbbbbbbb")
    assert minute.per_second("a", NOW + 10_000) == 0.1
    assert minute.per_second("b", NOW + 11_000) == 1.0
    assert minute.per_second("c", NOW + 10_000) == 0.0


def test_a_burst_within_a_second_counts_as_one_second() -> None:
    assert noted(*"aaaa", every_ms=1).per_second("a", NOW + 5) == 4.0
