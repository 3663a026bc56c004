import subprocess
import sys
from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from inferry.wire.refusals import Refusal, read_refusal


def trailer(*details: Message) -> tuple[str, bytes]:
    status = Status(code=8, message="no")
    for detail in details:
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    return "grpc-status-details-bin", status.SerializeToString()


def struct(**fields: Any) -> Struct:
    made = Struct()
    made.update(fields)
    return made


def test_code_details_and_the_time_to_wait_are_read() -> None:
    wait = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    info = ErrorInfo(reason="RESOURCE_LIMIT", domain="inferry")
    metadata: list[tuple[str, str | bytes]] = [("other", "x"), trailer(info, struct(limit=3), wait)]
    assert read_refusal(metadata) == Refusal("RESOURCE_LIMIT", {"limit": 3}, 1.5)


def test_an_error_of_grpc_itself_says_nothing() -> None:
    assert read_refusal(None) == read_refusal(()) == read_refusal([("a", "b")]) == Refusal()


def test_what_cannot_be_read_says_nothing_and_breaks_nothing() -> None:
    assert read_refusal([("grpc-status-details-bin", b"\xff\xff")]) == Refusal()
    no_json = Struct(fields={"n": Value(number_value=float("nan"))})
    assert read_refusal([trailer(ErrorInfo(reason="A"), no_json)]).code == "A"


def test_a_client_reads_refusals_without_a_json_library_of_its_own() -> None:
    """``inferry-client`` needs grpcio and protobuf, and nothing else."""
    code = "import sys, inferry.wire.refusals; assert 'orjson' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
