"""The figures of all rounds, as a table and as JSON."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.driver import Round

#: Load, then gateway, then its rounds in order.
Results = Mapping[str, Mapping[str, Sequence[Round]]]


def as_json(machine: Mapping[str, str], results: Results) -> dict[str, Any]:
    """Gives the medians of the rounds, and every round's rate."""
    loads = {
        load: {
            **{name: _medians(rounds) for name, rounds in gateways.items()},
            "ratio": _ratios(gateways),
        }
        for load, gateways in results.items()
    }
    return {"machine": dict(machine), "loads": loads}


def show(machine: Mapping[str, str], results: Results) -> None:
    """Prints the machine and a table."""
    table = Table("load", "gateway", "tasks/s", "p50 ms", "p99 ms", "gateway µs/task")
    for column in table.columns[2:]:
        column.justify = "right"
    for load, figures in as_json(machine, results)["loads"].items():
        ratio = figures.pop("ratio")
        for name, each in figures.items():
            table.add_row(
                load,
                name,
                f"{each['tasks_per_s']:,.0f}",
                f"{each['p50_ms']:.2f}",
                f"{each['p99_ms']:.2f}",
                f"{each['processor_us']:,.0f}",
            )
        table.add_row(
            load, "ratio", f"{ratio['tasks_per_s']:.2f}", "", "", f"{ratio['processor_us']:.2f}"
        )
        table.add_section()
    console = Console()
    console.print(table)
    for what, value in machine.items():
        console.print(f"{what}: {value}", highlight=False)


def _medians(rounds: Sequence[Round]) -> dict[str, Any]:
    return {
        "tasks_per_s": median(each.rate for each in rounds),
        "p50_ms": median(each.percentile_ms(0.5) for each in rounds),
        "p99_ms": median(each.percentile_ms(0.99) for each in rounds),
        "processor_us": median(each.processor_us for each in rounds),
        "rounds": [round(each.rate, 1) for each in rounds],
    }


def _ratios(gateways: Mapping[str, Sequence[Round]]) -> dict[str, float]:
    """Inferry to the floor, round by round: neighbours in time share the machine's mood."""
    pairs = list(zip(gateways["inferry"], gateways["floor"], strict=True))
    return {
        "tasks_per_s": median(ours.rate / floor.rate for ours, floor in pairs),
        "processor_us": median(ours.processor_us / floor.processor_us for ours, floor in pairs),
    }
