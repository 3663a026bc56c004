"""The services of ``inferry.v1``: their descriptors and the stubs generated for them."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

import inferry.v1

_STUBS = "_pb2_grpc"


@dataclass(frozen=True, slots=True)
class Service:
    """A service and the class of its stub."""

    descriptor: ServiceDescriptor
    stub: Callable[[grpc.aio.Channel], Any]


def services() -> Iterator[Service]:
    """Finds every service: a new one needs no word here."""
    for module in pkgutil.iter_modules(inferry.v1.__path__):
        if not module.name.endswith(_STUBS):
            continue
        stubs = importlib.import_module(f"{inferry.v1.__name__}.{module.name}")
        messages = importlib.import_module(stubs.__name__.removesuffix("_grpc"))
        file: FileDescriptor = messages.DESCRIPTOR
        for descriptor in file.services_by_name.values():
            yield Service(descriptor, getattr(stubs, f"{descriptor.name}Stub"))
