import pytest

from inferry.wire.errors import FieldError, show
from inferry.wire.members import members
from inferry.wire.text import check

LONG = "k" * 100_000


def test_the_way_to_a_value_is_a_text_of_few_characters_whatever_its_names_are() -> None:
    error = FieldError("expected a string")
    for part in ("\ud800", 2, LONG):
        error.within(part)
    assert str(error).startswith("kkkk")
    assert str(error).endswith("...[2].?: expected a string")
    assert len(str(error)) < 100


@pytest.mark.parametrize("value", [LONG, "\ud800" * 100, '"' * 100, ["x"], 10**18, 1e300, None])
def test_a_value_is_shown_in_a_text_of_few_characters(value: object) -> None:
    assert len(show(value).encode()) <= 60


@pytest.mark.parametrize("name", [LONG, "\\ud800"])
def test_a_name_that_comes_twice_is_shown_in_short(name: str) -> None:
    text = f'{{"{name}":1,"{name}":2}}'.encode()
    for read in (check, lambda text: dict(members(text))):
        with pytest.raises(FieldError) as refused:
            read(text)
        assert len(str(refused.value).encode()) < 120


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_a_number_beyond_all_doubles_is_not_shown_as_null(value: float) -> None:
    assert show(value) == "a number beyond all doubles"
