"""What servers and workers say of themselves, with every default."""

from dataclasses import dataclass

import yarl
from google.protobuf.struct_pb2 import Struct

from inferry.server.errors import InvalidPayloadError, PermissionDeniedError
from inferry.server.outbound.addresses import address_allowed
from inferry.server.outbound.places import Places, literal
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


async def check_place(url: str, places: Places, *, private_allowed: bool) -> None:
    """Looks whether a server could be called where it says, by whom it is registered.

    A name that nobody can resolve now may lead somewhere later.

    Raises:
        PermissionDeniedError: It is at a private address, and an admin alone may say so.
        InvalidPayloadError: It is where no server is ever called.
    """
    address = literal(url)
    if address is not None:
        found = [address]
    elif private_allowed:
        # An admin may name whatever turns up: what is called is looked at again.
        return
    else:
        found = await places.of_name(yarl.URL(url).raw_host or "")
    if not found or any(address_allowed(one, private_allowed=private_allowed) for one in found):
        return
    if any(address_allowed(one, private_allowed=True) for one in found):
        raise PermissionDeniedError(
            f"url: {url} is at a private address, where a token of role backend may register "
            "nothing: register it with an admin's (`inferry token` makes one on the gateway's "
            "machine), or have it dial in as a worker, which needs no address",
            field="url",
        )
    raise InvalidPayloadError(
        f"url: {url} is at an address where no server is called: an unspecified (0.0.0.0), "
        "link-local, metadata, multicast or reserved one; right is one at which the gateway "
        "reaches it",
        field="url",
    )


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
