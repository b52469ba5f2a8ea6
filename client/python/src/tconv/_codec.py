"""Messages as gRPC carries them, with the elements of tensors kept out of protobuf.

On the wire these are ordinary messages. A request is put together once, from the small fields
and the arrays; of an answer each tensor is copied once, to the array that the caller gets.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy.typing as npt
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from tconv import arrays, errors
from tconv.v1 import tensor_pb2

AnyMessage = TypeVar("AnyMessage", bound=Message)

# Most that one message may have, as in every protobuf library.
_MAX_BYTES = 0x7FFFFFFF
_DATA = tensor_pb2.Tensor.DATA_FIELD_NUMBER
_LENGTH_DELIMITED = 2
_FIXED_SIZES = {1: 8, 5: 4}  # by wire type


class Request:
    """A message to be sent, whose tensors stay in their arrays until then."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self._payloads: list[tuple[list[int], memoryview]] = []

    def put(self, path: str, values: npt.ArrayLike) -> None:
        """Makes the tensor at `path`, like "weights.kernel", one of these values."""
        array = arrays.to_wire(values)
        tensor: Any = self.message
        numbers = []
        for name in path.split("."):
            numbers.append(tensor.DESCRIPTOR.fields_by_name[name].number)
            tensor = getattr(tensor, name)
        tensor.dtype = arrays.number_of(array.dtype)
        tensor.shape.extend(array.shape)
        self._payloads.append(([*numbers, _DATA], arrays.to_bytes(array)))

    def encode(self) -> bytes:
        """The message. ResourceExhausted: it is larger than a message can be."""
        return encode(self.message, self._payloads)


def encode(message: Message, payloads: Sequence[tuple[Sequence[int], memoryview]] = ()) -> bytes:
    """The message with each payload in the field to which the numbers lead from the root.

    Parsers merge what they find of a submessage in several places. The payloads can therefore
    follow the message that they are part of.
    """
    pieces: list[bytes | memoryview] = [message.SerializeToString()]
    for path, payload in payloads:
        pieces += [_prefix(path, len(payload)), payload]
    size = sum(len(piece) for piece in pieces)
    if size > _MAX_BYTES:
        raise errors.ResourceExhausted(
            f"a message of {size} bytes is more than the {_MAX_BYTES} that one can carry"
        )
    return b"".join(pieces)


def _prefix(path: Sequence[int], size: int) -> bytes:
    """What stands in front of `size` bytes in the innermost field of `path`."""
    prefix = b""
    for number in reversed(path):
        tag = _varint(number << 3 | _LENGTH_DELIMITED)
        prefix = tag + _varint(len(prefix) + size) + prefix
    return prefix


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Answer(Generic[AnyMessage]):
    """A message that has arrived: `message` has everything but the elements of tensors.

    Internal: the bytes are no such message.
    """

    def __init__(self, message_class: type[AnyMessage], data: bytes) -> None:
        self._payloads: dict[tuple[int, ...], memoryview] = {}
        try:
            head = self._split(message_class.DESCRIPTOR, memoryview(data), ())
            self.message: AnyMessage = message_class.FromString(head)
        except (DecodeError, IndexError) as error:
            raise _malformed(f"expected a {message_class.DESCRIPTOR.full_name}") from error

    def array(self, path: str) -> arrays.Array | None:
        """The tensor at `path` as a new array; None if it is absent."""
        tensor: Any = self.message
        numbers = []
        for name in path.split("."):
            if not tensor.HasField(name):
                return None
            numbers.append(tensor.DESCRIPTOR.fields_by_name[name].number)
            tensor = getattr(tensor, name)
        dtype, size = described(tensor)
        payload = self._payloads.get((*numbers, _DATA), memoryview(b""))
        if len(payload) != size:
            raise _malformed(f"{path}: expected {size} bytes, got {len(payload)}")
        return arrays.from_bytes(payload, dtype, tuple(tensor.shape))

    def _split(self, descriptor: Descriptor, data: memoryview, path: tuple[int, ...]) -> bytes:
        """The message without its payloads, which are noted."""
        kept: list[bytes | memoryview] = []
        for number, begin, value_begin, end in _fields(data):
            field = _leading_to_payloads(descriptor).get(number)
            if field is None:
                kept.append(data[begin:end])
            elif field.message_type is None:
                self._payloads[(*path, number)] = data[value_begin:end]
            else:
                inner = self._split(field.message_type, data[value_begin:end], (*path, number))
                kept += [_prefix([number], len(inner)), inner]
        return b"".join(kept)


def described(tensor: Any) -> tuple[Any, int]:
    """The type of a Tensor or TensorHeader and the bytes of its elements."""
    try:
        dtype = arrays.dtype_of(tensor.dtype)
    except KeyError as error:
        raise _malformed(f"tensor of the unknown type {tensor.dtype}") from error
    size = dtype.itemsize
    for extent in tensor.shape:
        size *= extent
    if any(extent < 0 for extent in tensor.shape):
        raise _malformed(f"tensor of the shape {list(tensor.shape)}")
    return dtype, size


def _malformed(what: str) -> errors.Internal:
    return errors.Internal(f"answer of the server: {what}")


@functools.cache
def _leading_to_payloads(descriptor: Descriptor) -> dict[int, FieldDescriptor]:
    """The fields of a message that hold the elements of a tensor, or messages that may.

    In this protocol none of them is repeated, and no message contains itself.
    """
    if descriptor is tensor_pb2.Tensor.DESCRIPTOR:
        return {_DATA: descriptor.fields_by_number[_DATA]}
    return {
        field.number: field
        for field in descriptor.fields
        if field.message_type is not None
        and field.message_type.file.package == descriptor.file.package
        and _leading_to_payloads(field.message_type)
    }


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """For each field its number, and where it, its value and the next field begin.

    IndexError: the bytes are not the fields of a message.
    """
    at = 0
    while at < len(data):
        tag, value = _read_varint(data, at)
        end = value
        if tag & 7 == 0:
            _, end = _read_varint(data, value)
        elif tag & 7 == _LENGTH_DELIMITED:
            length, value = _read_varint(data, value)
            end = value + length
        elif tag & 7 in _FIXED_SIZES:
            end = value + _FIXED_SIZES[tag & 7]
        else:
            raise IndexError(f"wire type {tag & 7}")
        if end > len(data):
            raise IndexError(f"field {tag >> 3} ends behind its message")
        yield tag >> 3, at, value, end
        at = end


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError("number of more than ten bytes")
