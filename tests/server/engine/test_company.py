"""One replica of all sweeps: the oldest that lives."""

import pytest

from inferry.server.engine.company import Company
from inferry.server.store.shared import Replica, Survey


def survey(*replicas: tuple[int, bool]) -> Survey:
    return Survey(0, 0, [Replica(number, False, over, 0) for number, over in replicas])


def test_who_has_its_store_alone_leads() -> None:
    assert Company().leads


@pytest.mark.parametrize(
    ("replicas", "leads"),
    [
        ([(3, False)], True),
        ([(2, False), (3, False)], False),
        ([(2, True), (3, False)], True),
        ([(3, False), (4, False)], True),
        # Late itself, and nobody else is there.
        ([(3, True)], True),
        ([(3, True), (4, False)], False),
    ],
)
def test_the_oldest_that_lives_leads(replicas: list[tuple[int, bool]], leads: bool) -> None:
    company = Company()
    company.look(survey(*replicas), 3)
    assert company.leads is leads


@pytest.mark.parametrize("others", [[], [(4, False)]])
def test_who_takes_the_lead_knows_whether_somebody_was_there_all_the_time(
    others: list[tuple[int, bool]],
) -> None:
    company = Company()
    company.look(survey((2, False), (3, False), *others), 3)
    company.look(survey((2, True), (3, False), *others), 3)
    assert company.leads
    assert company.succeeds is bool(others)
    company.look(survey((3, False), (5, False)), 3)
    assert company.succeeds is bool(others)
