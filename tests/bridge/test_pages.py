import re

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


#: What Chromium sends.
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


@pytest.mark.parametrize("prefix", ["", "/in/ferry"])
@pytest.mark.parametrize(("page", "first"), [(True, "/ui/"), (False, "/docs")])
async def test_the_first_address_leads_a_browser_to_a_page_and_others_to_all_there_is(
    prefix: str, page: bool, first: str
) -> None:
    public_url = f"https://gateway.example.com{prefix}"
    async with running_bridge(public_url=public_url, web=page) as client:
        for path in {f"{prefix}/", prefix or "/"}:
            async with client.http.get(path, headers=BROWSER) as led:
                assert (led.status, led.url.path) == (200, prefix + first)
                assert led.content_type == "text/html"
                (there,) = led.history
                assert (there.status, there.headers["Vary"]) == (302, "Accept")
        # A proxy may have taken the prefix away.
        for path in ("/", f"{prefix}/"):
            status, index, _ = await client.call("GET", path)
            assert (status, index["name"]) == (200, "inferry")
            links = {name: link for name, link in index.items() if link.startswith("/")}
            assert set(links) == {"docs", "openapi", "health"} | ({"page"} if page else set())
            for link in links.values():
                assert (await client.http.get(link)).status == 200


async def test_a_path_that_only_begins_as_the_prefix_does_is_not_within_it() -> None:
    async with running_bridge(public_url="https://gateway.example.com/inferry") as client:
        assert (await client.call("GET", "/inferryhealth"))[0] == 404


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
