"""The comments of the protos, which the generated code does not have: words for documentation."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message

import inferry.v1

#: Written beside the generated code, by the same command.
_DESCRIPTORS = "descriptors.binpb"


@cache
def read_comments() -> Mapping[str, str]:
    """Reads what stands above each message, field, enum, value, service and RPC, by full name."""
    written = resources.files(inferry.v1).joinpath(_DESCRIPTORS).read_bytes()
    files = FileDescriptorSet.FromString(written).file
    return {name: comment for file in files for name, comment in _comments(file)}


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        name = _name(file, location.path)
        comment = " ".join(location.leading_comments.split())
        if name and comment:
            yield f"{file.package}.{name}", comment


def _name(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """Follows a path of field numbers and indexes; empty if it leads to something without a name.

    ``[4, 2, 2, 0]`` is ``message_type[2].field[0]``.
    """
    node: Message = file
    names = []
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number[number]
        if field.message_type is None or not field.is_repeated:
            return ""
        node = getattr(node, field.name)[index]
        names.append(getattr(node, "name", ""))
    return ".".join(names) if len(path) % 2 == 0 and all(names) else ""
