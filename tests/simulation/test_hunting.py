"""The hunt of a planted bug, with seeds that fail as a test says."""

from collections.abc import Callable

import pytest

from inferry.server.engine.committer import Committer
from tests.simulation.hunting import SEEDS, Hunt, hunt, last_finds
from tests.simulation.planted import BUGS, Bug, planted
from tests.simulation.planted_shared import ALL_BUGS

BUG = next(bug for bug in BUGS if bug.place == "engine.committer:Committer.do_all")
SOUND = Committer.do_all.__code__


def failing(*with_the_bug: int, always: tuple[int, ...] = ()) -> Callable[[int], str]:
    def run(seed: int) -> str:
        is_planted = Committer.do_all.__code__ is not SOUND
        return "broken" if seed in always or (is_planted and seed in with_the_bug) else ""

    return run


def test_a_bug_that_shows_where_it_did_last_takes_one_seed() -> None:
    assert hunt(BUG, 70, failing(3, 70)) == Hunt(BUG.name, 70, 1, "broken")


def test_a_bug_that_no_longer_shows_where_it_did_is_looked_for_in_all_seeds() -> None:
    assert hunt(BUG, 70, failing(3, 80)) == Hunt(BUG.name, 3, 5, "broken")
    assert hunt(BUG, None, failing(3, 80)) == Hunt(BUG.name, 3, 4, "broken")


def test_a_seed_that_fails_without_the_bug_does_not_show_it() -> None:
    assert hunt(BUG, 2, failing(5, always=(2, 3))) == Hunt(BUG.name, 5, 7, "broken")


def test_a_bug_that_shows_in_no_seed_is_not_found() -> None:
    assert hunt(BUG, None, failing(SEEDS)) == Hunt(BUG.name, None, SEEDS, "")


def test_the_code_is_sound_again_after_a_hunt() -> None:
    hunt(BUG, 0, failing(0))
    assert Committer.do_all.__code__ is SOUND


@pytest.mark.parametrize("bug", ALL_BUGS, ids=lambda bug: bug.name)
def test_each_bug_still_finds_the_code_that_it_changes(bug: Bug) -> None:
    with planted(bug):
        pass


def test_the_seeds_that_are_kept_are_of_bugs_that_are_planted() -> None:
    assert last_finds().keys() <= {bug.name for bug in ALL_BUGS}
