import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.bridge.routes import read_routes
from inferry.bridge.services import services
from tests.bridge.upstream import Client, running_bridge

Status = health_pb2.HealthCheckResponse.ServingStatus


async def health_of(client: Client, channel: grpc.aio.Channel) -> int:
    bridge = Bridge(channel, BridgeConfig(port=0))
    _, port = await bridge.start()
    async with client.http.get(f"http://127.0.0.1:{port}/health") as response:
        await response.read()
    await bridge.stop(1.0)
    return response.status


async def test_a_gateway_without_a_health_service_is_healthy(client: Client) -> None:
    status, body, _ = await client.call("GET", "/health")
    assert (status, body["status"]) == (200, "healthy")
    assert re.fullmatch(r"\d+\.\d+.*", body["version"])


@pytest.mark.parametrize(("serving", "status"), [("SERVING", 200), ("NOT_SERVING", 503)])
async def test_health_is_that_of_the_gateway(client: Client, serving: str, status: int) -> None:
    servicer = health.HealthServicer()
    await servicer.set("", Status.Value(serving))
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await health_of(client, channel) == status
    await server.stop(None)


async def test_a_gateway_that_is_not_there_is_not_healthy(client: Client) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        bridge = Bridge(channel, BridgeConfig(port=0))
        _, port = await bridge.start()
        async with client.http.get(f"http://127.0.0.1:{port}/health") as response:
            body = await response.json()
            assert (response.status, body["status"]) == (503, "unhealthy")
            assert body["reason"] == "unreachable"
        async with client.http.get(f"http://127.0.0.1:{port}/livez") as response:
            assert (response.status, await response.json()) == (200, {"status": "alive"})
        await bridge.stop(1.0)


async def test_the_page_of_endpoints_names_them_all_and_loads_nothing(client: Client) -> None:
    async with client.http.get("/docs") as response:
        page = await response.text()
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for route in read_routes(service.descriptor for service in services()):
        assert f"{route.verb} {route.template}" in page
    assert "src=" not in page
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize("prefix", ["", "/inferry"])
async def test_links_of_the_pages_keep_the_path_of_the_public_url(prefix: str) -> None:
    async with running_bridge(public_url=f"https://gateway.example.com{prefix}") as client:
        async with client.http.get(f"{prefix}/docs/") as response:
            links = re.findall('href="([^"]*)"', await response.text())
        assert links == [f"{prefix}/health", f"{prefix}/openapi.json"]
        for link in links:
            async with client.http.get(link) as response:
                assert response.status == 200
        _, document, _ = await client.call("GET", "/openapi.json")
        assert document["servers"] == [{"url": prefix or "/"}]


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
    assert (status, document["openapi"]) == (200, "3.1.0")
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
            "patternProperties": {"^labels\\..+$": {"type": "string"}},
            "additionalProperties": False,
        }


async def test_openapi_tells_what_a_watch_of_many_tasks_goes_on_after(client: Client) -> None:
    _, document, _ = await client.call("GET", "/openapi.json")
    patterns = []
    for path in ("/api/watch", "/api/tasks/{id}/events"):
        operation = document["paths"][path]["get"]
        assert set(operation["responses"]["200"]["content"]) == {"text/event-stream"}
        (last,) = (one for one in operation["parameters"] if one["name"] == "Last-Event-ID")
        patterns.append((last["schema"]["pattern"], "204" in operation["responses"]))
    assert patterns == [("^[A-Za-z0-9_-]{1,2000}$", False), ("^[0-9]{1,18}$", True)]


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
    assert [one["name"] for one in create["parameters"]] == ["Idempotency-Key", "Prefer"]
    named = [one["name"] for one in watch["parameters"]]
    assert named == ["id", "after", "Last-Event-ID", "lastEventId"]
    assert "204" in watch["responses"]
    for status in ("200", "202"):
        assert "Idempotency-Replayed" in create["responses"][status]["headers"]


@pytest.mark.parametrize(
    ("schema", "name", "kind", "words"),
    [
        ("CreateTaskRequest", "payload", "object", "The work itself: a JSON object"),
        ("Task", "payload", "object", "The work itself: a JSON object"),
        ("Task", "result", None, "any JSON value"),
        ("Task", "lateResult", None, "A result that came after"),
        ("Task", "details", "object", "What else is known"),
        ("TaskUpdate", "result", None, "any JSON value"),
        ("TaskUpdate", "details", "object", "a JSON object"),
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
        *(name for one in document["components"]["schemas"].values() for name in one["properties"]),
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
