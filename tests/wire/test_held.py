"""The hash of what a worker holds."""

from hashlib import sha256

from inferry.wire.held import held_hash, mark


def test_a_mark_is_the_first_8_bytes_of_the_sha_256_of_task_and_attempt() -> None:
    text = sha256(b"task_01HK153X00PYXZ6CXT0BGWJ8MG:2").digest()
    assert mark("task_01HK153X00PYXZ6CXT0BGWJ8MG", 2) == int.from_bytes(text[:8], "big")
    # What docs/workers.md shows.
    assert mark("task_1", 1) == 0x4802182F41252349


def test_the_hash_is_the_exclusive_or_of_all_marks_in_any_order() -> None:
    assert held_hash([]) == 0
    one, other = ("task_1", 1), ("task_2", 1)
    assert held_hash([one, other]) == held_hash([other, one]) == mark(*one) ^ mark(*other)
