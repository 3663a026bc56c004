"""The dashboard and the alerts ask for what the gateway tells, in words that Prometheus knows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser as promql
import pytest
import yaml

from inferry.wire.figures import FIGURES, Kind

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PAGE = (ROOT / "docs/monitoring.md").read_text()

#: What Prometheus itself adds to each series.
ADDED = {"job", "instance"}
#: Series by name -> labels that they may be asked by.
TOLD: dict[str, set[str]] = {"up": ADDED}
for figure in FIGURES:
    ends = ["_bucket", "_sum", "_count"] if figure.kind is Kind.HISTOGRAM else [""]
    for end in ends:
        bucket = {"le"} if end == "_bucket" else set()
        TOLD[figure.series + end] = {*figure.labels, *ADDED, *bucket}


def selectors(expression: str) -> Iterator[promql.VectorSelector]:
    """Finds what a query reads."""
    found: list[promql.VectorSelector] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.append(node)
        return True

    promql.walk(promql.parse(expression), visit)
    return iter(found)


def flaws(expression: str) -> list[str]:
    """Names what of a query nobody tells."""
    found = []
    labels: set[str] = set()
    for selector in selectors(expression):
        name = selector.name or ""
        if name not in TOLD:
            found.append(name)
            continue
        labels |= TOLD[name]
        asked = {matcher.name for matcher in selector.matchers.matchers}
        found += sorted(asked - TOLD[name])
    for by in re.findall(r"\bby \(([^)]*)\)", expression):
        found += sorted({label.strip() for label in by.split(",")} - labels)
    return found


def dashboard_queries() -> list[str]:
    """What the dashboard asks, with its variables filled in."""
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [
        query.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$type", ".*")
        for query in queries
    ]


def test_a_name_that_nobody_tells_is_found() -> None:
    assert flaws("rate(inferry_tasks_ended_total[5m])") == ["inferry_tasks_ended_total"]
    assert flaws('inferry_tasks_waiting{tenant="a"}') == ["tenant"]
    assert flaws("sum by (tenant) (inferry_tasks_waiting)") == ["tenant"]
    assert flaws("sum by (le) (rate(inferry_task_wait_seconds_bucket[5m]))") == []


@pytest.mark.parametrize("query", dashboard_queries())
def test_the_dashboard_asks_for_what_is_told(query: str) -> None:
    assert flaws(query) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_told(rule: dict[str, Any]) -> None:
    assert flaws(rule["expr"]) == []
    assert promql.parse(rule["expr"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert named <= set().union(*(TOLD[one.name or ""] for one in selectors(rule["expr"])))


def test_each_alert_is_on_the_page_and_nothing_else_is() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    assert set(re.findall(r"`(Inferry\w+)`", PAGE)) == set(names)


def test_panels_stand_side_by_side_and_are_told_apart() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_reads_the_alerts_beside_it() -> None:
    settings = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    assert [(FOLDER / name).exists() for name in settings["rule_files"]] == [True]
    (scrape,) = settings["scrape_configs"]
    assert f'job="{scrape["job_name"]}"' in RULES[0]["expr"]


def test_the_autoscaler_of_backends_goes_by_what_is_told() -> None:
    manifest = yaml.safe_load((FOLDER / "backends-autoscaler.yaml").read_text())
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    (metric,) = manifest["spec"]["metrics"]
    asked = metric["external"]["metric"]
    assert set(asked["selector"]["matchLabels"]) <= TOLD[asked["name"]]
