"""What a gateway tells at /metrics: over REST and gRPC, as Prometheus itself reads it."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

from inferry.bridge.app import Bridge
from inferry.bridge.config import BridgeConfig
from inferry.server.access.tokens import Role
from inferry.v1.metrics_service_pb2 import GetMetricsRequest
from inferry.v1.metrics_service_pb2_grpc import MetricsServiceStub
from inferry.wire.figures import FIGURES, HTTP_DURATION, OTHER, Kind
from tests.backends import Backend
from tests.gateways import Running, ShiftedClock, running_gateway, token
from tests.model_worker import ModelWorker, streamed_gateway
from tests.receivers import NETWORKS, answer, running_receiver

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
ADMIN = (("authorization", f"Bearer {token()}"),)


async def scrape(
    running: Running, accept: str = "", auth: str | None = None, url: str = ""
) -> tuple[int, str, str]:
    """Reads the figures; returns status, media type and text."""
    headers = {"Accept": accept, "Authorization": f"Bearer {token() if auth is None else auth}"}
    async with running.http.get(f"{url or running.url}/metrics", headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def families(running: Running, accept: str = "", url: str = "") -> dict[str, Metric]:
    """Reads them as Prometheus does."""
    status, content_type, text = await scrape(running, accept, url=url)
    assert status == 200, text
    read = read_open if content_type.startswith("application/openmetrics-text") else read_plain
    return {family.name: family for family in read(text)}


def value(found: dict[str, Metric], series: str, **labels: str) -> float:
    """Gives one series, which has to be there once."""
    values = [
        sample.value
        for family in found.values()
        for sample in family.samples
        if sample.name == series and labels.items() <= sample.labels.items()
    ]
    assert len(values) == 1, (series, labels, values)
    return float(values[0])


@pytest.mark.parametrize("accept", ["", OPEN_METRICS])
async def test_figures_of_a_gateway_at_work_are_read_by_prometheus_own_parser(
    gateway: Running, backend: Backend, accept: str
) -> None:
    await gateway.register(backend, capabilities=["echo", "never"])
    for number in range(20):
        await gateway.create(**{"async": False}, payload={"n": number})
    found = await families(gateway, accept)
    assert value(found, "inferry_tasks_created_total", type="echo") == 20
    done = {"type": "echo", "status": "completed"}
    assert value(found, "inferry_tasks_finished_total", **done) == 20
    assert value(found, "inferry_task_wait_seconds_count", type="echo") == 20
    assert value(found, "inferry_task_run_seconds_count", type="echo") == 20
    good = {"transport": "http", "outcome": "succeeded"}
    assert value(found, "inferry_attempts_total", **good) == 20
    assert value(found, "inferry_server_slots", server="backend") == 10
    assert value(found, "inferry_server_up", server="backend") == 1
    assert value(found, "inferry_ready") == 1
    assert value(found, "inferry_store_bytes") > 0
    assert value(found, "inferry_commit_seconds_count") >= 20
    created = {"http_request_method": "POST", "http_response_status_code": "200"}
    count = f"{HTTP_DURATION.name}_count"
    assert value(found, count, http_route="/api/tasks", **created) == 20


async def test_all_that_is_told_is_on_the_list_and_as_it_says(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    await gateway.create(**{"async": False})
    channel = grpc.aio.insecure_channel(gateway.gateway.grpc_address)
    await MetricsServiceStub(channel).GetMetrics(GetMetricsRequest(), metadata=ADMIN)
    found = await families(gateway, OPEN_METRICS)
    await channel.close()
    listed = {figure.name: figure for figure in FIGURES}
    for name, family in found.items():
        figure = listed[name]
        assert (family.type, family.documentation) == (figure.kind.value, figure.help)
        names = {label for sample in family.samples for label in sample.labels}
        assert names - {"le"} == set(figure.labels)
    silent = listed.keys() - found.keys()
    # Of tenants that nobody asked for, workers and streams that are not there.
    assert silent == {
        "inferry_tenant_tasks_created",
        "inferry_tenant_tasks_finished",
        "inferry_worker_idle_seconds",
        "inferry_worker_lag_seconds",
        "inferry_streams",
    }


async def test_a_known_type_has_its_series_before_its_first_task(
    tmp_path: Path, backend: Backend
) -> None:
    async with running_gateway(tmp_path, metrics_types=("planned",)) as gateway:
        await gateway.register(backend, capabilities=["echo"])
        found = await families(gateway)
    for name in ("planned", "echo", OTHER):
        for series in ("waiting", "delayed", "running", "created_total", "retried_total"):
            assert value(found, f"inferry_tasks_{series}", type=name) == 0
        for status in ("completed", "failed", "timeout", "cancelled"):
            finished = {"type": name, "status": status}
            assert value(found, "inferry_tasks_finished_total", **finished) == 0
        assert value(found, "inferry_task_wait_seconds_count", type=name) == 0
        assert value(found, "inferry_oldest_wait_seconds", type=name) == 0


async def test_no_word_of_a_client_becomes_a_label(gateway: Running) -> None:
    task = await gateway.create(type="of-a-client", labels={"secret": "label"})
    await gateway.call("GET", "/of-a-client/path")
    await gateway.call("GET", f"/api/tasks/{task['id']}")
    _, _, text = await scrape(gateway)
    assert "of-a-client" not in text
    assert str(task["id"]) not in text
    assert "secret" not in text
    found = {family.name: family for family in read_plain(text)}
    assert value(found, "inferry_tasks_created_total", type=OTHER) == 1
    assert value(found, "inferry_tasks_waiting", type=OTHER) == 1
    nothing = {"http_route": "", "http_response_status_code": "404"}
    assert value(found, f"{HTTP_DURATION.name}_count", **nothing) == 1


async def test_what_waits_and_what_is_delayed_and_paused_is_told(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, metrics_types=("echo",)) as gateway:
        for more in ({}, {}, {"delayMs": 60_000}):
            await gateway.create(**more)
        await gateway.call("POST", "/api/queue/pause", {"type": "echo", "reason": "a rest"})
        found = await families(gateway)
    assert value(found, "inferry_tasks_waiting", type="echo") == 2
    assert value(found, "inferry_tasks_delayed", type="echo") == 1
    assert value(found, "inferry_type_paused", type="echo") == 1
    assert value(found, "inferry_queue_limit") == 10_000


async def test_tenants_are_told_apart_if_the_settings_name_them(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, metrics_tenants=("acme",)) as gateway:
        await gateway.create()
        await gateway.call("POST", "/api/tasks", {"type": "echo"}, token(Role.CLIENT, "rival"))
        found = await families(gateway)
    assert value(found, "inferry_tenant_tasks_created_total", tenant="acme") == 1
    assert value(found, "inferry_tenant_tasks_created_total", tenant=OTHER) == 1


@pytest.mark.parametrize("role", [Role.CLIENT, Role.BACKEND])
async def test_figures_are_for_admins(gateway: Running, role: Role) -> None:
    assert (await scrape(gateway, auth=token(role)))[0] == 403
    assert (await scrape(gateway, auth="none"))[0] == 401


async def test_the_settings_open_the_figures_to_anybody(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, metrics_open=True) as gateway:
        async with gateway.http.get(f"{gateway.url}/metrics") as response:
            assert response.status == 200
            assert "inferry_build_info" in await response.text()
        assert (await gateway.call("GET", "/api/queue", auth="none"))[0] == 401


async def test_a_gateway_that_counts_nothing_says_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, metrics=False) as gateway:
        await gateway.create()
        status, content_type, text = await scrape(gateway)
    assert (status, content_type) == (404, "application/json")
    assert "metrics" in text


async def test_a_bridge_apart_tells_the_figures_of_the_gateway_and_its_own(
    gateway: Running,
) -> None:
    channel = grpc.aio.insecure_channel(gateway.gateway.grpc_address)
    bridge = Bridge(channel, BridgeConfig(port=0))
    host, port = await bridge.start()
    url = f"http://{host}:{port}"
    for _ in range(3):
        async with gateway.http.get(f"{url}/livez") as response:
            assert response.status == 200
    found = await families(gateway, OPEN_METRICS, url)
    await bridge.stop(1.0)
    await channel.close()
    assert value(found, "inferry_ready") == 1
    assert value(found, f"{HTTP_DURATION.name}_count", http_route="/livez") == 3


async def test_calls_over_grpc_are_counted_by_method_and_status(gateway: Running) -> None:
    channel = grpc.aio.insecure_channel(gateway.gateway.grpc_address)
    stub = MetricsServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.GetMetrics(GetMetricsRequest())
    await stub.GetMetrics(GetMetricsRequest(), metadata=ADMIN)
    answer = await stub.GetMetrics(GetMetricsRequest(), metadata=ADMIN)
    await channel.close()
    found = {family.name: family for family in read_plain(answer.text.decode())}
    calls = Counter(
        {
            sample.labels["rpc_response_status_code"]: sample.value
            for sample in found["rpc_server_call_duration_seconds"].samples
            if sample.name.endswith("_count")
            and sample.labels["rpc_method"] == "inferry.v1.MetricsService/GetMetrics"
        }
    )
    assert calls == {"UNAUTHENTICATED": 1, "OK": 1}


def test_names_are_as_prometheus_wants_them() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(names) == len(set(names))
    for figure in FIGURES:
        assert figure.name.endswith(f"_{figure.unit}" if figure.unit else "")
        assert not figure.name.endswith(("_total", "_info"))
        assert (figure.kind is Kind.HISTOGRAM) == bool(figure.bounds)
        assert list(figure.bounds) == sorted(figure.bounds)
        assert figure.help.endswith(".")


async def test_a_worker_is_told_with_its_lag_its_slots_and_its_attempts(tmp_path: Path) -> None:
    async with streamed_gateway(tmp_path) as gateway:
        stub = MetricsServiceStub(gateway.gateway.channel)
        worker = ModelWorker(gateway.gateway.grpc_address, lag_ms=1_500)
        async with worker.connected():
            await gateway.task(await gateway.create())
            worker.beat()
            async with asyncio.timeout(20):
                while True:
                    answer = await stub.GetMetrics(GetMetricsRequest(), metadata=ADMIN)
                    told = {one.name: one for one in read_plain(answer.text.decode())}
                    if value(told, "inferry_worker_lag_seconds", server="gpu-1") == 1.5:
                        break
                    await asyncio.sleep(0.02)
        assert value(told, "inferry_server_up", server="gpu-1") == 1
        assert value(told, "inferry_worker_idle_seconds_total", server="gpu-1") == 0
        done = {"transport": "grpc", "outcome": "succeeded"}
        assert value(told, "inferry_attempts_total", **done) == 1
        connect = "inferry.v1.WorkerService/Connect"
        assert value(told, "inferry_streams", rpc_method=connect) == 1
        async with asyncio.timeout(20):
            while True:
                answer = await stub.GetMetrics(GetMetricsRequest(), metadata=ADMIN)
                told = {one.name: one for one in read_plain(answer.text.decode())}
                if value(told, "inferry_streams", rpc_method=connect) == 0:
                    break
                await asyncio.sleep(0.02)


async def test_tries_to_tell_webhooks_are_counted_by_what_became_of_them(
    tmp_path: Path, backend: Backend
) -> None:
    clock = ShiftedClock()
    settings: dict[str, Any] = {"webhook_networks": NETWORKS}
    async with running_gateway(tmp_path, clock, **settings) as gateway, running_receiver() as hears:
        await gateway.register(backend)
        assert (await outcomes(gateway)) == {
            "delivered": 0,
            "retried": 0,
            "failed": 0,
            "disabled": 0,
        }
        _, hook = await gateway.call("POST", "/api/webhooks", {"url": hears.url})
        hears.answer = answer(500)
        task = await gateway.create()
        await hears.next()
        path = f"/api/tasks/{task['id']}/deliveries"
        await gateway.eventually(path, lambda body: body["deliveries"][0].get("tries") == 1)
        assert (await outcomes(gateway))["retried"] == 1
        assert value(await families(gateway), "inferry_webhook_lag_seconds") == 0
        hears.answer = answer(204)
        clock.shift_ms += 60_000
        await hears.next()
        await gateway.eventually(path, lambda body: body["deliveries"][0]["state"] == "DELIVERED")
        hears.answer = answer(410)
        await gateway.create()
        await hears.next()
        await gateway.eventually(
            f"/api/webhooks/{hook['id']}", lambda body: bool(body.get("disabled"))
        )
        found = await families(gateway)
        assert await outcomes(gateway) == {
            "delivered": 1,
            "retried": 1,
            "failed": 0,
            "disabled": 1,
        }
        assert value(found, "inferry_webhooks_disabled") == 1


async def outcomes(running: Running) -> dict[str, float]:
    """Counts tries of deliveries by outcome."""
    family = (await families(running))["inferry_webhook_deliveries"]
    return {sample.labels["outcome"]: sample.value for sample in family.samples}
