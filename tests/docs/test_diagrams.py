import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_lifecycle_shows_the_diagram_of_the_table() -> None:
    drawn = subprocess.run(
        [sys.executable, DOCS / "diagrams.py"], check=True, capture_output=True, text=True
    ).stdout
    assert f"```mermaid\n{drawn}```\n" in (DOCS / "lifecycle.md").read_text()
