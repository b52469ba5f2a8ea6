"""Tensors of any size, whose elements travel in chunks with a checksum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import xxhash
from google.protobuf.message import DecodeError

from tconv import _codec, arrays, errors
from tconv._connection import Connection, timing_of
from tconv.results import ServerTiming, VersionedWeights, Weights
from tconv.v1 import layer_pb2, tensor_pb2, transposed_conv_pb2

_SERVICE = "/tconv.v1.TransposedConvService/"
# Bytes of elements in one message.
_CHUNK_BYTES = 1 << 20
# The field of the elements in every message of every stream.
_DATA_PATH = (2,)


class _Sender(Iterator[bytes]):
    """The messages of a request: a start, the elements of the arrays, an end.

    gRPC takes them on a thread of its own, as fast as the server does. It knows no exception but
    its own, so the one that the arrays have raised is kept in `error`.
    """

    def __init__(self, message_class: Any, start: Any, chunks: Iterable[arrays.Array]) -> None:
        self.error: Exception | None = None
        self._messages = self._make(message_class, start, chunks)

    def __next__(self) -> bytes:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise

    @staticmethod
    def _make(message_class: Any, start: Any, chunks: Iterable[arrays.Array]) -> Iterator[bytes]:
        yield _codec.encode(message_class(start=start))
        checksum = xxhash.xxh3_64()
        for chunk in chunks:
            data = arrays.to_bytes(chunk)
            for at in range(0, len(data), _CHUNK_BYTES):
                piece = data[at : at + _CHUNK_BYTES]
                checksum.update(piece)
                yield _codec.encode(message_class(), [(_DATA_PATH, piece)])
        end = tensor_pb2.StreamEnd(xxh3=checksum.intdigest())
        yield _codec.encode(message_class(end=end))


class _Receiver:
    """The messages of an answer, and whether their elements are what was sent."""

    def __init__(self, call: Any, sender: _Sender | None, message_class: Any) -> None:
        self._call = call
        self._sender = sender
        self._message_class = message_class
        self._checksum = xxhash.xxh3_64()
        self._missing_bytes = 0

    def start(self) -> Any:
        """The first part."""
        part = self._next()
        if part is None or part.WhichOneof("part") != "start":
            raise self._malformed("has no start")
        return part.start

    def elements(self, size: int) -> Iterator[bytes]:
        """The elements behind the start, `size` bytes in any number of pieces.

        DataLoss: they are not what was sent.
        """
        self._missing_bytes = size
        while (part := self._next()) is not None:
            if part.WhichOneof("part") == "data" and len(part.data) <= self._missing_bytes:
                self._missing_bytes -= len(part.data)
                self._checksum.update(part.data)
                yield part.data
            elif part.WhichOneof("part") == "end" and self._missing_bytes == 0:
                return self._finish(part.end)
            else:
                raise self._malformed(f"does not fit, {self._missing_bytes} bytes before its end")
        raise self._malformed("has no end")

    def only(self) -> Any:
        """The single message of an answer that is no stream."""
        message = self._next()
        if message is None or self._next() is not None:
            raise self._malformed("expected one message")
        return message

    def timing(self) -> ServerTiming | None:
        """After the last element."""
        return timing_of(self._call)

    def _finish(self, end: Any) -> None:
        self.end = end
        summed_up = end if isinstance(end, tensor_pb2.StreamEnd) else end.end
        if summed_up.xxh3 != self._checksum.intdigest():
            raise errors.DataLoss("stream of the server: the checksum does not fit the elements")
        if self._next() is not None:
            raise self._malformed("goes on behind its end")

    def _next(self) -> Any:
        """The next message, or None behind the last one."""
        try:
            return self._message_class.FromString(next(self._call))
        except StopIteration:
            return None
        except grpc.RpcError as failure:
            if self._sender is not None and self._sender.error is not None:
                raise self._sender.error from None
            raise errors.from_call(failure) from None
        except DecodeError as error:
            raise self._malformed("has a message that is none") from error

    def _malformed(self, what: str) -> errors.Internal:
        self._call.cancel()
        return errors.Internal(f"stream of the server: {what}")


class ForwardStream:
    """A call of Client.forward_stream: iterate over it for the output.

    Iterate once. The output is complete, and what it should be, only when the loop ends without
    an error. Use it in a `with`, or close() it, to give up before that. Not thread-safe.
    """

    shape: tuple[int, ...]  # of the output
    dtype: np.dtype[Any]  # of the output
    weights_version: int  # of the weights that are used
    channels_first: bool  # the data format of the layer, which decides about the order
    losses: list[transposed_conv_pb2.Loss]  # once the loop has ended: when asked for
    timing: ServerTiming | None  # once the loop has ended

    def __init__(self, call: Any, receiver: _Receiver) -> None:
        self._call = call
        self._receiver = receiver
        start = receiver.start()
        self.dtype, self._size = _codec.described(start.output)
        self.shape = tuple(start.output.shape)
        self.weights_version = start.weights_version
        self.channels_first = start.data_format == layer_pb2.DATA_FORMAT_CHANNELS_FIRST
        self.losses = []
        self.timing = None

    def __iter__(self) -> Iterator[arrays.Array]:
        """The next elements of the output in stream order, as read-only arrays of one axis."""
        carried = b""
        for data in self.pieces():
            data = carried + data if carried else data
            whole = len(data) // self.dtype.itemsize * self.dtype.itemsize
            carried = data[whole:]
            if whole:
                yield np.frombuffer(data, self.dtype, whole // self.dtype.itemsize)

    def pieces(self) -> Iterator[bytes]:
        """The same as bytes, in pieces that may end inside of an element."""
        yield from self._receiver.elements(self._size)
        self.losses = list(self._receiver.end.losses)
        self.timing = self._receiver.timing()

    def close(self) -> None:
        """Ends the call, if it has not ended."""
        self._call.cancel()

    def __enter__(self) -> ForwardStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def forward(
    connection: Connection,
    start: transposed_conv_pb2.ForwardStreamStart,
    chunks: Iterable[arrays.Array],
    left: float | None,
) -> ForwardStream:
    """One attempt of ForwardStream, with the elements of `chunks` as input."""
    sender = _Sender(transposed_conv_pb2.ForwardStreamRequest, start, chunks)
    call = connection.stream(_SERVICE + "ForwardStream", sender, start.name, left)
    return ForwardStream(
        call, _Receiver(call, sender, transposed_conv_pb2.ForwardStreamResponse)
    )


def in_stream_order(array: arrays.Array, channels_first: bool) -> Iterator[arrays.Array]:
    """A tensor in the order in which it travels: with channels_first the channels come after the
    outermost spatial axis. Copies one image at a time, and only then."""
    if not channels_first or array.ndim < 3:
        yield array
        return
    for image in array:
        yield np.ascontiguousarray(image.swapaxes(0, 1))


def collect(stream: ForwardStream) -> arrays.Array:
    """The output of a stream as one array."""
    shape = list(stream.shape)
    if stream.channels_first:
        shape[1], shape[2] = shape[2], shape[1]
    output = np.empty(shape, stream.dtype)
    _fill(output, stream.pieces())
    return np.ascontiguousarray(output.swapaxes(1, 2)) if stream.channels_first else output


def _fill(array: arrays.Array, pieces: Iterator[bytes]) -> None:
    memory = array.reshape(-1).view(np.uint8)
    at = 0
    for piece in pieces:
        memory[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)


def set_weights(
    connection: Connection, name: str, weights: Weights, if_version: int | None, left: float | None
) -> int:
    """One attempt of SetWeightsStream: the version of the weights just set."""
    start = transposed_conv_pb2.SetWeightsStreamStart(name=name, if_version=if_version)
    tensors = []
    for header, values in ((start.kernel, weights.kernel), (start.bias, weights.bias)):
        if values is not None:
            tensors.append(arrays.to_wire(values))
            header.CopyFrom(header_of(tensors[-1].dtype, tensors[-1].shape))
    sender = _Sender(transposed_conv_pb2.SetWeightsStreamRequest, start, tensors)
    call = connection.stream(_SERVICE + "SetWeightsStream", sender, name, left)
    receiver = _Receiver(call, sender, transposed_conv_pb2.SetWeightsStreamResponse)
    version: int = receiver.only().weights_version
    return version


def get_weights(connection: Connection, name: str, left: float | None) -> VersionedWeights:
    """One attempt of GetWeightsStream."""
    request = transposed_conv_pb2.GetWeightsStreamRequest(name=name)
    call = connection.stream(
        _SERVICE + "GetWeightsStream", iter([request.SerializeToString()]), name, left
    )
    receiver = _Receiver(call, None, transposed_conv_pb2.GetWeightsStreamResponse)
    start = receiver.start()
    kernel_dtype, kernel_bytes = _codec.described(start.kernel)
    bias_dtype, bias_bytes = _codec.described(start.bias) if start.HasField("bias") else (None, 0)
    memory = np.empty(kernel_bytes + bias_bytes, np.uint8)
    _fill(memory, receiver.elements(memory.size))
    kernel = memory[:kernel_bytes].view(kernel_dtype).reshape(start.kernel.shape)
    bias = None
    if bias_dtype is not None:
        bias = memory[kernel_bytes:].view(bias_dtype).reshape(start.bias.shape)
    return VersionedWeights(kernel, bias, start.weights_version)


def header_of(dtype: npt.DTypeLike, shape: Iterable[int]) -> tensor_pb2.TensorHeader:
    """TypeError: as of arrays.to_wire()."""
    wire_dtype = arrays.to_wire(np.empty(0, dtype)).dtype
    return tensor_pb2.TensorHeader(dtype=arrays.number_of(wire_dtype), shape=shape)
