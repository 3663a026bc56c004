"""OpenAPI of the bridge: each field, bound, status and link that there is, and no other."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis

from inferry.bridge.routes import read_routes
from inferry.bridge.services import services
from inferry.wire.limits import MAX_INTEGER
from tests.bridge.upstream import Client

Document = dict[str, Any]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


async def test_openapi_describes_every_route_and_leads_nowhere_else(client: Client) -> None:
    status, document, _ = await client.call("GET", "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.2.0")
    for route in read_routes(service.descriptor for service in services()):
        assert route.verb.lower() in document["paths"][route.template]
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"].endswith(".") for operation in operations)


async def test_openapi_has_labels_as_parameters_of_their_own(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    for path in ("/api/tasks", "/api/watch"):
        (labels,) = (
            one for one in document["paths"][path]["get"]["parameters"] if one["name"] == "labels"
        )
        # As an object that is exploded: its properties are the parameters.
        assert (labels["in"], labels["style"], labels["explode"]) == ("query", "form", True)
        assert labels["schema"] == {
            "type": "object",
            "patternProperties": {"^labels\\..{1,63}$": {"type": "string", "maxLength": 255}},
            "additionalProperties": False,
            "maxProperties": 8,
        }


async def test_openapi_tells_what_a_watch_of_many_tasks_goes_on_after(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    patterns = []
    for path in ("/api/watch", "/api/tasks/{id}/events"):
        operation = document["paths"][path]["get"]
        assert set(operation["responses"]["200"]["content"]) == {"text/event-stream"}
        (last,) = (one for one in operation["parameters"] if one["name"] == "Last-Event-ID")
        patterns.append((last["schema"]["pattern"], "204" in operation["responses"]))
    assert patterns == [("^([A-Za-z0-9_-]{1,2000})?$", False), ("^([0-9]{1,18})?$", True)]


async def test_openapi_speaks_as_the_guide_does(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    schemas = document["components"]["schemas"]
    assert "async" in schemas["CreateTaskRequest"]["properties"]
    assert "active" in schemas["RegisterServerResponse"]["properties"]["status"]["enum"]
    report = document["paths"]["/api/tasks/{id}"]["put"]
    assert [parameter["name"] for parameter in report["parameters"]] == ["id", "token"]


async def test_openapi_lists_what_means_something_beside_the_protos(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    create = document["paths"]["/api/tasks"]["post"]
    watch = document["paths"]["/api/tasks/{id}/events"]["get"]
    batch = document["paths"]["/api/tasks:batchCreate"]["post"]
    trace = ["traceparent", "tracestate"]
    assert [one["name"] for one in create["parameters"]] == ["Idempotency-Key", "Prefer", *trace]
    assert [one["name"] for one in batch["parameters"]] == trace
    named = [one["name"] for one in watch["parameters"]]
    assert named == ["id", "after", "withoutWaiting", "ticket", "Last-Event-ID", "lastEventId"]
    assert "204" in watch["responses"]
    for status in ("200", "202"):
        assert "Idempotency-Replayed" in create["responses"][status]["headers"]


@pytest.mark.parametrize(
    ("schema", "name", "kind", "words"),
    [
        ("CreateTaskRequest", "payload", ["object", "null"], "The work itself: a JSON object"),
        ("Task", "payload", "object", "The work itself: a JSON object"),
        ("Task", "result", None, "any JSON value"),
        ("Task", "lateResult", None, "A result that came after"),
        ("Task", "details", "object", "What else is known"),
        ("TaskUpdate", "result", None, "any JSON value"),
        ("TaskUpdate", "details", ["object", "null"], "a JSON object"),
    ],
)
async def test_openapi_describes_json_values_as_rest_has_them(
    client: Client, schema: str, name: str, kind: str | None, words: str
) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    value = document["components"]["schemas"][schema]["properties"][name]
    assert value.get("type") == kind
    assert words in value["description"]


async def test_openapi_knows_nothing_of_forms_that_json_does_not_have(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    names = {
        *(
            name
            for one in document["components"]["schemas"].values()
            for name in one.get("properties", ())
        ),
        *(
            parameter["name"]
            for path in document["paths"].values()
            for operation in path.values()
            for parameter in operation["parameters"]
        ),
    }
    assert not any("json" in name.lower() or "format" in name.lower() for name in names)


async def test_openapi_knows_the_new_words(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    schemas = document["components"]["schemas"]
    assert "NO_FREE_SERVER" in schemas["ExplainTaskResponse"]["properties"]["reason"]["enum"]
    assert "BREAKER_OPEN" in schemas["ServerVerdict"]["properties"]["rule"]["enum"]
    assert schemas["TaskUpdate"]["properties"].keys() >= {"extend_ms", "retryable"}
    leave = document["paths"]["/api/servers/{id}"]["delete"]
    assert [one["name"] for one in leave["parameters"]] == ["id", "grace"]


@pytest.fixture
async def document(client: Client) -> Document:
    _, document, _ = await client.call("GET", "/openapi.json")
    return dict(document)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield verb.upper(), path, operation


async def test_a_reader_of_openapi_3_2_takes_the_document(document: Document) -> None:
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    assert len(list(schema.get_all_operations())) == len(list(operations(document)))


async def test_every_schema_is_one(document: Document) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_requests_have_the_bounds_that_they_are_checked_by(document: Document) -> None:
    create = document["components"]["schemas"]["CreateTaskRequest"]
    properties = create["properties"]
    assert (create["required"], create["additionalProperties"]) == (["type"], False)
    name = re.compile(properties["type"]["pattern"])
    assert name.search("a" * 128)
    assert not name.search("a" * 129)
    bounds = {
        name: (properties[name]["type"], properties[name]["minimum"], properties[name]["maximum"])
        for name in ("priority", "timeout", "maxAttempts", "resultTtl")
    }
    assert bounds == {
        "priority": (["integer", "null"], 0, 9),
        "timeout": (["integer", "null"], 1, 86_400_000),
        "maxAttempts": (["integer", "null"], 1, 100),
        "resultTtl": (["integer", "null"], 1, 2**31 - 1),
    }
    labels = properties["labels"]
    assert labels["maxProperties"] == 32
    assert labels["propertyNames"] == {"minLength": 1, "maxLength": 63}
    assert labels["additionalProperties"] == {"type": "string", "maxLength": 255}
    assert properties["capabilities"]["maxItems"] == 32
    batch = document["components"]["schemas"]["BatchCreateTasksRequest"]["properties"]["requests"]
    assert (batch["minItems"], batch["maxItems"]) == (1, 1_000)


def valid(document: Document, schema: str, value: object) -> bool:
    whole = {**document, "$ref": f"#/components/schemas/{schema}"}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))


@pytest.mark.parametrize(
    ("schema", "value", "right"),
    [
        ("CreateTaskRequest", {"type": "a", "payload": None}, True),
        ("CreateTaskRequest", {"type": None}, False),
        ("CreateTaskRequest", {"type": "a", "tpye": "b"}, False),
        ("CreateTaskRequest", {"type": "a", "requestId": ""}, True),
        ("CreateTaskRequest", {"type": "a", "delayMs": 1, "notBefore": None}, True),
        (
            "CreateTaskRequest",
            {"type": "a", "delayMs": 1, "notBefore": "2026-01-31T12:00:00Z"},
            False,
        ),
        ("CancelTasksRequest", {}, False),
        ("CancelTasksRequest", {"reason": "all of them"}, False),
        ("CancelTasksRequest", {"labels": {}, "type": "", "status": None}, False),
        ("CancelTasksRequest", {"labels": {"a": "b"}, "limit": 0}, True),
        ("CancelTasksRequest", {"status": "COMPLETED"}, False),
        ("RetryTasksRequest", {"status": "TIMEOUT"}, True),
        ("RegisterServerRequest", {"url": "http://a", "name": "b", "metadata": {"c": 1.5}}, True),
        (
            "RegisterServerRequest",
            {"url": "http://a", "name": "b", "metadata": {"c": [MAX_INTEGER + 2]}},
            False,
        ),
        ("RegisterServerRequest", {"url": "http://a", "name": "a\nb"}, False),
        # What a server answers of its load is always whole; what it is told need not be.
        ("Load", {"cpu": 1}, False),
        ("LoadRequest", {"cpu": 1}, True),
        # Backends may say more than is known here.
        ("TaskUpdate", {"status": "PROCESSING", "eta": 5}, True),
        ("TaskUpdate", {}, False),
        ("CreateWebhookRequest", {"url": "https://a", "events": ["progress"]}, True),
        ("CreateWebhookRequest", {"url": ""}, False),
        ("CreateWebhookRequest", {"url": "https://a", "events": ["ended"]}, False),
        ("CreateWebhookRequest", {"url": "https://a", "secret": ""}, True),
        ("CreateWebhookRequest", {"url": "https://a", "secret": "whsec_" + "A" * 31}, False),
        ("CreateTaskRequest", {"type": "a", "webhook": {"events": []}}, False),
        ("ExchangeCodeRequest", {"code": "c" * 65}, False),
    ],
)
async def test_a_schema_tells_right_from_wrong(
    document: Document, schema: str, value: object, right: bool
) -> None:
    assert valid(document, schema, value) is right


async def test_an_answer_tells_what_is_always_there(document: Document) -> None:
    task = document["components"]["schemas"]["Task"]
    assert {"id", "type", "status", "progress", "labels", "createdAt"} <= set(task["required"])
    assert not {"result", "error", "serverId", "payload", "queuePosition"} & set(task["required"])
    # A later version may answer more.
    assert "additionalProperties" not in task


@pytest.mark.parametrize(
    ("schema", "always", "never"),
    [
        ("Webhook", {"id", "tenant", "url", "events", "disabled"}, {"secret", "disabledReason"}),
        ("Delivery", {"messageId", "webhookId", "seq", "state", "attempts"}, {"nextAttemptAt"}),
        ("DeliveryAttempt", {"at", "tookMs", "statusCode"}, {"answer"}),
        ("GetStatsResponse", {"from", "step", "types", "waitP50Ms"}, set()),
        ("FailureGroup", {"type", "fingerprint", "firstSeen", "counts"}, {"code", "message"}),
        ("CountTasksResponse", {"count", "more"}, set()),
        ("WhoAmIResponse", {"subject", "tenant", "roles"}, set()),
        ("CreateCodeResponse", {"code", "expiresAt"}, {"url"}),
        ("GetJwksResponse", {"keys"}, set()),
        ("Jwk", {"kty", "crv", "alg", "use", "kid", "x"}, set()),
        ("ExchangeCodeResponse", {"token", "expiresAt", "role", "tenant", "subject"}, set()),
        ("GetWebhookKeyResponse", {"publicKey"}, set()),
    ],
)
async def test_answers_of_all_services_tell_what_is_always_there(
    document: Document, schema: str, always: set[str], never: set[str]
) -> None:
    described = document["components"]["schemas"][schema]
    assert always <= set(described["required"])
    assert not never & set(described["required"])
    assert never <= set(described["properties"])


async def test_a_number_that_has_to_be_said_is_not_said_by_none(document: Document) -> None:
    path = "/api/tasks/{id}/deliveries/{seq}/redeliver"
    _, seq = document["paths"][path]["post"]["parameters"]
    assert (seq["required"], seq["schema"]["minimum"]) == (True, 1)
    assert "minLength" not in seq["schema"]


async def test_who_needs_no_token_is_told_so(document: Document) -> None:
    free = {
        operation["operationId"]: operation["security"]
        for _, _, operation in operations(document)
        if "security" in operation
    }
    assert free == {
        # The token or the ticket of their URLs will do.
        "UpdateTask": [{"token": []}, {}],
        "WatchTask": [{"token": []}, {}],
        "ExchangeCode": [],
        "GetJwks": [],
    }


async def test_a_body_is_required_if_something_in_it_is(document: Document) -> None:
    required = {
        operation["operationId"]: operation["requestBody"].get("required", False)
        for _, _, operation in operations(document)
        if "requestBody" in operation
    }
    assert required["CreateTask"]
    assert required["CancelTasks"]
    assert not required["RetryTasks"]
    # The id stands in its path.
    assert not required["Heartbeat"]


ALWAYS = {"400", "401", "403", "431", "503"}
BODY = {"408", "413", "415"}


@pytest.mark.parametrize(
    ("name", "refusals"),
    [
        ("CreateTask", ALWAYS | BODY | {"410", "422", "429"}),
        ("BatchCreateTasks", ALWAYS | BODY),
        ("GetTask", ALWAYS | {"404", "410"}),
        ("ListTasks", ALWAYS),
        ("WatchTask", ALWAYS | {"404", "410"}),
        ("CreateStreamUrl", ALWAYS | BODY | {"404", "410"}),
        ("UpdateTask", ALWAYS | {"404", "408", "409", "410", "413"}),
        ("CancelTask", ALWAYS | BODY | {"404", "409", "410"}),
        ("RetryTask", ALWAYS | BODY | {"404", "409", "410", "429"}),
        ("GetServer", ALWAYS | {"404"}),
        ("GetQueue", ALWAYS),
        ("GetStats", ALWAYS),
        ("CreateWebhook", ALWAYS | BODY | {"429"}),
        ("GetWebhook", ALWAYS | {"404"}),
        ("Redeliver", ALWAYS | BODY | {"404"}),
        ("ListDeliveries", ALWAYS | {"404", "410"}),
        ("WhoAmI", ALWAYS),
        ("CreateCode", ALWAYS | BODY | {"409", "429"}),
        # It needs no role.
        ("ExchangeCode", (ALWAYS | BODY | {"409", "429"}) - {"403"}),
        ("GetJwks", ALWAYS - {"403"}),
    ],
)
async def test_each_status_that_can_come_is_told_where_it_can(
    document: Document, name: str, refusals: set[str]
) -> None:
    (told,) = (
        operation["responses"]
        for _, _, operation in operations(document)
        if operation["operationId"] == name
    )
    assert {status for status in told if status >= "400"} == refusals


async def test_each_refusal_has_the_error_schema_and_an_example_of_it(document: Document) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status < "400":
                continue
            media = response["content"]["application/json"]
            assert media["schema"] == {"$ref": "#/components/schemas/Error"}
            for code, example in media["examples"].items():
                assert valid(document, "Error", example["value"])
                assert example["value"]["code"] == code
            assert ("Retry-After" in response.get("headers", {})) == (status in {"429", "503"})


async def test_what_was_made_leads_to_what_can_be_done_with_it(document: Document) -> None:
    named = {operation["operationId"]: path for _, path, operation in operations(document)}
    for path, status in (
        ("/api/tasks", "200"),
        ("/api/tasks", "202"),
        ("/api/servers/register", "200"),
        ("/api/webhooks", "200"),
    ):
        links = document["paths"][path]["post"]["responses"][status]["links"]
        for link in links.values():
            assert named[link["operationId"]].startswith(f"{path.removesuffix('/register')}/{{id}}")
            assert link["parameters"] == {"id": "$response.body#/id"}
    created = document["paths"]["/api/tasks"]["post"]["responses"]["202"]["links"]
    assert {"GetTask", "CancelTask", "WatchTask"} <= created.keys()


async def test_a_stream_is_described_event_by_event(document: Document) -> None:
    for path, schema in (
        ("/api/watch", "WatchTasksResponse"),
        ("/api/tasks/{id}/events", "TaskEvent"),
    ):
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        event = content["text/event-stream"]["itemSchema"]
        assert event["properties"]["data"] == {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": f"#/components/schemas/{schema}"},
        }


async def test_every_path_allows_what_the_document_has_of_it(
    client: Client, document: Document
) -> None:
    for template, verbs in document["paths"].items():
        path = template.replace("{id}", "task_1")
        allowed = {verb.upper() for verb in verbs} | {"OPTIONS"}
        allowed |= {"HEAD"} if "get" in verbs else set()
        for verb in ("OPTIONS", "PATCH"):
            async with client.http.request(verb, path) as response:
                assert response.status == (204 if verb == "OPTIONS" else 405)
                assert set(response.headers["Allow"].split(", ")) == allowed, (verb, path)
                assert "Server" not in response.headers
