"""What servers and workers say of themselves, with every default."""

from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct

from inferry.server.errors import InvalidPayloadError
from inferry.v1.server_service_pb2 import RegisterServerRequest
from inferry.v1.worker_pb2 import WorkerHello
from inferry.wire.errors import FieldError
from inferry.wire.structs import struct_text

#: Of metadata: less than a page of a list has.
METADATA_LIMIT_BYTES = 65_536


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
        InvalidPayloadError: Its metadata is too large, or no JSON.
    """
    slots = message.max_concurrent if message.HasField("max_concurrent") else usual_slots
    capabilities = frozenset(message.capabilities)
    return Said(message.name, capabilities, slots, _metadata(message.metadata))


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
