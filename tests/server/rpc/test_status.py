from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from inferry.server.errors import (
    IllegalTransitionError,
    InferryError,
    Kind,
    NotFoundError,
    QueueFullError,
)
from inferry.server.rpc.status import DETAILS_LIMIT, MESSAGE_LIMIT, STATUSES, to_status


def info_of(status: Status) -> ErrorInfo:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def test_each_kind_of_error_has_a_status_of_its_own() -> None:
    assert list(STATUSES) == list(Kind)
    assert len(set(STATUSES.values())) == len(Kind)


def test_a_plain_error_has_a_code_a_message_and_a_reason() -> None:
    status = to_status(NotFoundError("no task task_1"))
    assert (status.code, status.message) == (5, "no task task_1")
    assert info_of(status) == ErrorInfo(reason="NOT_FOUND", domain="inferry")
    assert len(status.details) == 1


def test_details_travel_whole_in_a_struct_and_as_text_in_the_error_info() -> None:
    error = IllegalTransitionError("no", status="COMPLETED", allowed=["PENDING"], attempt=2)
    status = to_status(error)
    details = Struct()
    assert status.details[1].Unpack(details)
    expected = Struct()
    expected.update({"status": "COMPLETED", "allowed": ["PENDING"], "attempt": 2})
    assert details == expected
    assert dict(info_of(status).metadata) == {"status": "COMPLETED"}


def test_when_to_retry_travels_in_retry_info() -> None:
    status = to_status(QueueFullError("full", retry_after_s=1.5))
    retry = RetryInfo()
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1_500


def test_a_long_message_is_cut_between_characters() -> None:
    status = to_status(InferryError("é" * 10_000 + "x"))
    assert status.message == "é" * (MESSAGE_LIMIT // 2)
    status = to_status(InferryError("x" + "é" * 10_000))
    assert status.message == "x" + "é" * (MESSAGE_LIMIT // 2 - 1)


def test_details_too_large_for_metadata_are_left_out() -> None:
    status = to_status(InferryError("no", text="x" * DETAILS_LIMIT))
    assert not info_of(status).metadata
    assert len(status.details) == 1
