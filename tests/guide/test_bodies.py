"""Every body of the guide goes into a message and comes out of it again as it was."""

from typing import Any

import orjson
import pytest
from google.protobuf.message import Message

from inferry.bridge.errors import BridgeError
from inferry.v1.server_pb2 import Server
from inferry.v1.server_service_pb2 import RegisterServerRequest, RegisterServerResponse
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.wire.decode import decoder
from inferry.wire.encode import encoder
from inferry.wire.words import read_words
from tests.guide import bodies


def converted(kind: type[Message], body: bodies.Json) -> dict[str, Any]:
    """Sends a body through a message's wire form and prints it as JSON again."""
    message: Message = kind()
    if kind is TaskUpdate:
        message = read_words(orjson.dumps(body)).update
    else:
        decoder(kind.DESCRIPTOR)(message, orjson.dumps(body))
    received = kind.FromString(message.SerializeToString())
    printed: dict[str, Any] = orjson.loads(orjson.dumps(encoder(kind.DESCRIPTOR)(received)))
    return printed


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RegisterServerRequest, bodies.REGISTER),
        (RegisterServerRequest, bodies.TEST_REGISTER),
        (TaskUpdate, bodies.PROGRESS),
        (TaskUpdate, bodies.COMPLETED),
        (TaskUpdate, bodies.FAILED),
        (TaskUpdate, bodies.STANDARD_ERROR),
        *((TaskUpdate, body) for body in bodies.EXAMPLE_CALLBACKS),
        (CreateTaskRequest, bodies.TEST_SYNC_TASK),
        (CreateTaskRequest, bodies.TEST_ASYNC_TASK),
    ],
)
def test_a_request_keeps_all_that_it_says(kind: type[Message], body: bodies.Json) -> None:
    assert converted(kind, body).items() >= body.items()


def test_numbers_keep_their_form() -> None:
    result = converted(TaskUpdate, bodies.COMPLETED)["result"]
    numbers = b'{"processing_time":180.5,"frames_processed":7200}'
    assert orjson.dumps(result["metadata"]) == numbers


def test_a_registration_is_answered_word_for_word() -> None:
    answer = RegisterServerResponse(id="srv_abc123", status=Server.ACTIVE)
    assert encoder(answer.DESCRIPTOR)(answer) == bodies.REGISTERED


def test_an_error_is_answered_word_for_word() -> None:
    error = BridgeError(400, "ERROR_CODE", "Brief error message")
    assert orjson.loads(error.body()) == bodies.STANDARD_ERROR


@pytest.mark.parametrize("status", bodies.STATUSES)
def test_every_status_of_the_guide_is_taken_and_printed(status: str) -> None:
    assert converted(TaskUpdate, {"status": status})["status"] == status
    assert converted(Task, {"status": status})["status"] == status
