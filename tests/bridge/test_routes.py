import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2
from google.protobuf.descriptor import ServiceDescriptor

from inferry.bridge.routes import read_routes
from inferry.bridge.services import services


def made(verb: str, path: str, body: str = "", response_body: str = "") -> ServiceDescriptor:
    """Makes a service with one annotated RPC from ``Empty`` to ``Empty``."""
    file = descriptor_pb2.FileDescriptorProto(
        name="made.proto", package="made", dependency=[empty_pb2.DESCRIPTOR.name]
    )
    method = file.service.add(name="Service").method.add(
        name="Do", input_type=".google.protobuf.Empty", output_type=".google.protobuf.Empty"
    )
    rule = method.options.Extensions[annotations_pb2.http]
    setattr(rule, verb, path)
    rule.body, rule.response_body = body, response_body
    pool = descriptor_pool.DescriptorPool()
    empty = descriptor_pb2.FileDescriptorProto()
    empty_pb2.DESCRIPTOR.CopyToProto(empty)
    pool.Add(empty)
    pool.Add(file)
    return pool.FindServiceByName("made.Service")


def test_every_documented_endpoint_has_a_route() -> None:
    routes = read_routes(service.descriptor for service in services())
    assert {(route.verb, route.template) for route in routes} >= {
        ("POST", "/api/servers/register"),
        ("GET", "/api/servers"),
        ("GET", "/api/servers/{id}"),
        ("POST", "/api/servers/{id}/drain"),
        ("POST", "/api/servers/{id}/resume"),
        ("POST", "/api/servers/{id}/heartbeat"),
        ("DELETE", "/api/servers/{id}"),
        ("POST", "/api/tasks"),
        ("GET", "/api/tasks/{id}"),
        ("GET", "/api/tasks"),
        ("PUT", "/api/tasks/{id}"),
        ("DELETE", "/api/tasks/{id}"),
        ("POST", "/api/tasks/{id}/cancel"),
        ("POST", "/api/tasks/{id}/retry"),
        ("GET", "/api/tasks/{id}/events"),
        ("GET", "/api/tasks/{id}/attempts"),
        ("GET", "/api/tasks/{id}/explain"),
        ("POST", "/api/tasks/retry"),
        ("GET", "/api/queue"),
        ("POST", "/api/queue/pause"),
        ("POST", "/api/queue/resume"),
    }


def test_a_new_rpc_needs_nothing_but_its_annotation() -> None:
    (route,) = read_routes([made("patch", "/api/things")])
    assert (route.verb, route.template, route.rpc) == ("PATCH", "/api/things", "made.Service.Do")


@pytest.mark.parametrize(
    "path", ["/a/{id=things/*}", "/a/**", "/{id}:do", "/a:1", "/a:do:it", "a", ""]
)
def test_a_path_that_cannot_be_served_is_found_at_the_start(path: str) -> None:
    with pytest.raises(ValueError, match=r"cannot serve|no path"):
        read_routes([made("get", path)])


def test_a_field_that_does_not_exist_is_found_at_the_start() -> None:
    with pytest.raises(ValueError, match="no such field: answer, id, thing"):
        read_routes([made("post", "/a/{id}", body="thing", response_body="answer")])
