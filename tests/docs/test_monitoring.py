"""docs/monitoring.md lists what the gateway tells, as the list of figures has it."""

from pathlib import Path

from inferry.wire.figures import FIGURES, Figure

PAGE = (Path(__file__).parents[2] / "docs/monitoring.md").read_text()


def row(figure: Figure) -> str:
    """Says a figure as a row of the page."""
    labels = ", ".join(f"`{label}`" for label in figure.labels)
    return f"| `{figure.series}` | {figure.kind.value} | {labels} | {figure.help} |"


def test_the_page_lists_all_figures() -> None:
    table = PAGE.partition("<!-- figures -->")[2].partition("<!-- end -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == [row(figure) for figure in FIGURES]
