"""What servers and workers say of themselves: every check and every default."""

from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct

from inferry.server.errors import InvalidPayloadError
from inferry.server.rpc.task_requests import names, within
from inferry.v1.server_service_pb2 import RegisterServerRequest
from inferry.v1.worker_pb2 import WorkerHello
from inferry.wire.controls import CONTROLS
from inferry.wire.errors import FieldError
from inferry.wire.structs import struct_text

CAPABILITIES_LIMIT = 256
NAME_LIMIT = 128
#: Of metadata: less than a page of a list has.
METADATA_LIMIT_BYTES = 65_536
MAX_CONCURRENT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Said:
    """What all of them say."""

    name: str
    capabilities: frozenset[str]
    max_concurrent: int
    #: A JSON object.
    metadata: bytes


def said_by(message: RegisterServerRequest | WorkerHello, usual_slots: int) -> Said:
    """Reads what a server says of itself, whatever its transport.

    Args:
        message: How it says so.
        usual_slots: Tasks at once of one that does not say.

    Raises:
        InvalidPayloadError: Something is missing or out of its bounds.
    """
    slots = message.max_concurrent if message.HasField("max_concurrent") else usual_slots
    within("maxConcurrent", slots, 1, MAX_CONCURRENT_LIMIT)
    if not 0 < len(message.name) <= NAME_LIMIT or CONTROLS.search(message.name):
        raise InvalidPayloadError(
            f"name: right is 1 to {NAME_LIMIT} characters, none of them a control character"
        )
    capabilities = names("capabilities", message.capabilities, CAPABILITIES_LIMIT)
    return Said(message.name, frozenset(capabilities), slots, _metadata(message.metadata))


def _metadata(given: Struct) -> bytes:
    try:
        metadata = struct_text(given)
    except FieldError as error:
        error.within("metadata")
        raise InvalidPayloadError(str(error), field="metadata") from None
    if given.ByteSize() > METADATA_LIMIT_BYTES:
        raise InvalidPayloadError(
            f"metadata: larger than {METADATA_LIMIT_BYTES} bytes as a protobuf Struct",
            field="metadata",
        )
    return metadata
