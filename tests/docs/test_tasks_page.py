"""docs/tasks.md: every field of a creation, with the bounds and defaults that the gateway has."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from typer.testing import CliRunner

from inferry.cli.main import app
from inferry.client import Options
from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.v1.webhook_pb2 import TaskWebhook
from inferry.wire.checks import rules_between, rules_of
from inferry.wire.rules import TIMESTAMP, map_value, shown
from tests.gateways import Running

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tasks.md").read_text()
HOUR_MS = 3_600_000
#: Fields whose default is no value that the created task tells.
NOT_TOLD = {"type", "delayMs", "notBefore", "resultTtl", "requestId", "webhook"}


def rows(head: str) -> dict[str, list[str]]:
    """The cells of the table whose first column has this head, by the field of each row."""
    table = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]
    found = {first.strip("`"): rest for first, *rest in cells}
    assert len(found) == len(cells)
    return found


FIELDS = rows("field")
EXAMPLES = {
    name: json.loads(f"{{{cells[-1].strip('`')}}}")
    for name, cells in FIELDS.items()
    if "." not in name
}


def documented() -> Mapping[str, FieldDescriptor]:
    """The fields that the table has to have, by the name that REST has for them."""
    own = {field.json_name: field for field in CreateTaskRequest.DESCRIPTOR.fields if shown(field)}
    of_webhook = {f"webhook.{field.json_name}": field for field in TaskWebhook.DESCRIPTOR.fields}
    return {**own, **of_webhook}


def type_of(field: FieldDescriptor) -> str:
    if map_value(field):
        return "object of strings"
    if field.is_repeated:
        return "array of strings"
    if field.message_type:
        return "time" if field.message_type.full_name == TIMESTAMP else "object"
    names = {FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BOOL: "boolean"}
    return names.get(field.type, "integer")


def bounds_of(field: FieldDescriptor) -> Iterator[str]:
    """Says each rule of a field in the words that its row has to have."""
    rules = rules_of(field)
    if rules.required:
        yield "has to be there"
    if rules.max_items:
        yield f"{rules.max_items} at most"
    if rules.HasField("minimum"):
        yield f"{rules.minimum:,} to {rules.maximum:,}"
    if rules.keys.max_length:
        yield f"keys of 1 to {rules.keys.max_length} characters"
    if rules.items.max_length:
        yield f"values of {rules.items.max_length} at most"
    if rules.max_length:
        yield f"{rules.max_length:,} characters at most"
    for right in filter(None, (rules.right, rules.items.right)):
        yield right.replace("'", "`")


def test_every_field_of_a_creation_is_there_once() -> None:
    assert {*FIELDS} == {*documented()}


@pytest.mark.parametrize("name", documented())
def test_types_and_bounds_are_those_of_the_protos(name: str) -> None:
    field = documented()[name]
    told_type, told_bounds, *_ = FIELDS[name]
    assert told_type == type_of(field)
    for bound in bounds_of(field):
        assert bound in told_bounds
    numbers = re.findall(r"\d[\d,]* to \d[\d,]*", told_bounds)
    assert not numbers or any(number in " ".join(bounds_of(field)) for number in numbers)


def test_fields_that_exclude_each_other_say_so() -> None:
    for name in rules_between(CreateTaskRequest.DESCRIPTOR).at_most_one:
        told = FIELDS[CreateTaskRequest.DESCRIPTOR.fields_by_name[name].json_name][1]
        assert "not together with" in told


async def test_defaults_are_those_that_a_task_has_of_which_nothing_is_said(
    gateway: Running,
) -> None:
    config, created = gateway.config, await gateway.create()
    task = await gateway.task(created["id"])
    for name, (_, bounds, default, _) in FIELDS.items():
        if name not in NOT_TOLD and "." not in name:
            assert json.loads(default.partition("`")[2].partition("`")[0]) == task[name], name
        for setting in re.findall(r"([\d,]+) (?:bytes|levels deep) \(`(\w+)`\)", bounds):
            assert int(setting[0].replace(",", "")) == getattr(config, setting[1])
    assert f"{config.sync_timeout_ms:,} when `async` is false" in FIELDS["timeout"][2]
    assert FIELDS["resultTtl"][2] == (
        f"{config.keep_done_ms // HOUR_MS} h after COMPLETED and CANCELLED, "
        f"{config.keep_failed_ms // (24 * HOUR_MS)} d after FAILED and TIMEOUT"
    )


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "async"])
async def test_examples_are_taken_as_they_stand(gateway: Running, name: str) -> None:
    (value,) = EXAMPLES[name].values()
    task = await gateway.create(**EXAMPLES[name])
    assert task.get(name, value) == value
    assert f"`{json.dumps(value)}" not in FIELDS[name][2]


async def test_examples_of_a_webhook_are_taken_together(gateway: Running) -> None:
    said = ", ".join(cells[-1].strip("`") for name, cells in FIELDS.items() if "webhook." in name)
    assert (await gateway.create(webhook=json.loads(f"{{{said}}}")))["status"] == "PENDING"


async def test_the_creation_at_the_top_is_taken_as_it_stands(gateway: Running) -> None:
    (body,) = re.findall(r"-d '(.*?)'", PAGE, re.DOTALL)
    task = await gateway.create(**json.loads(body))
    said = json.loads(body)
    assert {name: task[name] for name in said.keys() & task.keys()} == {
        name: value for name, value in said.items() if name in task
    }


def test_the_other_words_for_a_field_are_those_that_there_are() -> None:
    words = rows("REST")
    assert [*words] == [name for name in FIELDS if "." not in name]
    grpc = {name for cells in words.values() for name in re.findall(r"`(\w+)`", cells[0])}
    assert grpc == {field.name for field in CreateTaskRequest.DESCRIPTOR.fields} - {"value_format"}
    python = {name for cells in words.values() for name in re.findall(r"`(\w+)`", cells[2])}
    assert python - {"run", "submit"} == {*Options.__annotations__}
    help_text = CliRunner().invoke(app, ["submit", "--help"], env={"COLUMNS": "200"}).stdout
    options = {*re.findall(r"--[\w-]+", help_text)}
    assert {
        name for cells in words.values() for name in re.findall(r"--[\w-]+", cells[1])
    } <= options


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)[^)]*\)", PAGE))
def test_what_it_links_to_is_there(link: str) -> None:
    assert (DOCS / link).exists()
