"""JSON values -> what a typed function gives: dataclasses, models of pydantic, and plain values."""

import dataclasses
import types
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")

_UNIONS = (Union, types.UnionType)
_LISTS = (list, tuple, set, frozenset)


def fit(kind: type[Kind], value: Any) -> Kind:
    """Makes a value of a kind; of members that the kind does not have, nothing is made.

    Args:
        kind: A dataclass, a model of pydantic, or a type of values that JSON has.
        value: What JSON gave.

    Raises:
        ValueError: It does not fit; the message says where.
        TypeError: A member is missing, or the kind is none of these.
    """
    made: Kind = _fit(kind, value, "")
    return made


def _fit(kind: Any, value: Any, where: str) -> Any:  # noqa: PLR0911 - a line a kind
    validate = getattr(kind, "model_validate", None)
    if validate is not None:
        return validate(value)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        return _union(kind, value, where)
    if origin in _LISTS and isinstance(value, list):
        inner = [arguments[0]] * len(value)
        if origin is tuple and ... not in arguments:
            inner = list(arguments)
        pairs = zip(inner, value, strict=True)
        return origin(_fit(one, item, f"{where}[{n}]") for n, (one, item) in enumerate(pairs))
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {key: _fit(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is Literal and value in arguments:
        return value
    return _plain(kind, value, where)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is Any or kind is object:
        return value
    if kind is None or kind is types.NoneType:
        right = value is None
    elif kind is float and type(value) is int:
        return float(value)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    elif kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    else:
        # True is no number, though it is an int.
        right = isinstance(kind, type) and isinstance(value, kind)
        right = right and (kind is bool) == (type(value) is bool)
    if not right:
        raise _misfit(where, getattr(kind, "__name__", kind), value)
    return value


def _union(kind: Any, value: Any, where: str) -> Any:
    refusals = []
    for one in get_args(kind):
        try:
            return _fit(one, value, where)
        except (ValueError, TypeError) as error:
            refusals.append(str(error))
    raise ValueError("; ".join(refusals))


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _misfit(where, f"an object for {kind.__name__}", value)
    hints = _hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    return kind(
        **{
            name: _fit(hints[name], value[name], f"{where}.{name}")
            for name in names
            if name in value
        }
    )


def _misfit(where: str, right: object, value: Any) -> ValueError:
    return ValueError(f"{where.lstrip('.') or 'it'}: expected {right}, got {value!r:.60}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
