#!/usr/bin/env python3
"""Draws the diagram of docs/lifecycle.md from the table of transitions, as Mermaid.

Run it with the project's Python and put what it prints into the page; a test compares the two.
"""

import sys
from collections import defaultdict

from inferry.server.task.lifecycle import TRANSITIONS
from inferry.server.task.record import Status


def lifecycle() -> str:
    """Draws the statuses of a task, with the inputs that lead from one to the other."""
    arrows: dict[tuple[Status, Status], list[str]] = defaultdict(list)
    for (status, given), target in TRANSITIONS.items():
        arrows[status, target].append(given.__name__.lower())
    return "\n".join(
        [
            "stateDiagram-v2",
            "    [*] --> PENDING: create",
            *(
                f"    {status.name} --> {target.name}: {', '.join(inputs)}"
                for (status, target), inputs in arrows.items()
            ),
            *(f"    {status.name} --> [*]" for status in Status if status.final),
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(lifecycle() + "\n")
