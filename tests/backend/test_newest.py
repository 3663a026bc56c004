from inferry.backend.newest import REMEMBERED, Newest


def test_it_forgets_the_oldest_but_none_that_is_worked_on() -> None:
    newest = Newest(1, lambda key: key == ("long", 2))
    newest.note("long", 1)
    newest.note("long", 2)
    newest.note("short", 1)
    for number in range(REMEMBERED + 1):
        newest.note(f"task_{number}", 1)
    assert (newest.of("long"), newest.of("short")) == (2, 0)
    assert newest.of(f"task_{REMEMBERED}") == 1
    assert newest.of("never") == 0
