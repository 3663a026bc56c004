"""A set that forgets."""

from inferry.bridge.lately import Lately


class Hours:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_member_stays_for_a_while_and_goes() -> None:
    clock = Hours()
    lately = Lately(clock)
    lately.add(b"a")
    clock.now_s = 29
    assert b"a" in lately
    clock.now_s = 31
    assert b"a" in lately
    clock.now_s = 61
    assert b"a" not in lately


def test_nothing_outlives_a_long_silence() -> None:
    clock = Hours()
    lately = Lately(clock)
    lately.add(b"a")
    clock.now_s = 3_600
    assert b"a" not in lately


def test_the_oldest_go_when_many_come() -> None:
    lately = Lately(Hours())
    for number in range(10_000):
        lately.add(b"%d" % number)
    assert b"9999" in lately
    assert b"7952" in lately
    assert b"0" not in lately
    assert sum(b"%d" % number in lately for number in range(10_000)) <= 4_096
