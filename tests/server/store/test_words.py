"""Words with a NUL come back as they were, in a database whose texts hold none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.store.postgres.words import read_word, write_word, write_words

WORDS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x00\x01\x02"))


@given(WORDS)
def test_every_word_reads_back_as_it_was_and_is_written_without_a_nul(word: str) -> None:
    written = write_word(word)
    assert b"\x00" not in written
    assert read_word(written) == word
    assert write_words([word, None]) == [written.decode(), None]


@given(st.lists(WORDS, unique=True, max_size=20))
def test_different_words_are_written_differently(words: list[str]) -> None:
    assert len({write_word(word) for word in words}) == len(words)


@pytest.mark.parametrize("word", ["", "plain", "où", "\x02", "\n\t"])
def test_a_word_without_a_nul_is_written_as_it_is(word: str) -> None:
    assert write_word(word) == word.encode()
