"""The document says what the gateway does: some hundred cases of what it allows, and does not."""

from pathlib import Path

from tests.fuzz.run import fuzz


async def test_every_answer_is_what_the_document_says(tmp_path: Path) -> None:
    assert await fuzz(tmp_path, cases=300) == 0
