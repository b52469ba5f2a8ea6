"""Layers and chains on a tconv server."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union

import grpc
import numpy as np
import numpy.typing as npt

from tconv import _foreign, _streams, arrays, errors
from tconv._chains import Chains
from tconv._codec import Request
from tconv._connection import Bearer, Connection, RetryPolicy, is_local
from tconv._service import put_weights
from tconv._streams import ForwardStream
from tconv._training import Training
from tconv.layers import ConvTranspose
from tconv.results import ForwardResult, VersionedWeights, Weights
from tconv.v1 import admin_pb2, layer_pb2, transposed_conv_pb2

# The arguments of a layer; layer.get_config(); keras.saving.serialize_keras_object(layer), either
# also as JSON; or the message.
LayerDefinition = Union[ConvTranspose, Mapping[str, Any], str, layer_pb2.LayerConfig]
# Extents, with None where any will do.
OpenShape = Sequence[Union[int, None]]

# From this size on streams are faster, whatever the output.
_STREAMED_BYTES = 8 << 20


def tls_credentials(
    ca: str | os.PathLike[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
) -> grpc.ChannelCredentials:
    """Credentials from PEM files, which are read now.

    `ca` vouches for the server; None: those that the system trusts. `certificate` and `key` tell
    who the client is, to servers that ask: both or none.
    """
    if (certificate is None) != (key is None):
        raise ValueError("certificate and key: expected both or none")
    chain, private, trusted = (
        None if path is None else pathlib.Path(path).read_bytes()
        for path in (certificate, key, ca)
    )
    return grpc.ssl_channel_credentials(trusted, private, chain)


class Client(Chains, Training):
    """A client of the server at `target`: "host:port", "unix:/path/of.socket", or any other name
    that gRPC resolves.

    A target that names its scheme stands for replicas, "dns:///name:port" or
    "ipv4:10.0.0.1:8500,10.0.0.2:8500": calls take turns on those that say they serve.

    Names are those of layers, or of chains where this is said. Arrays are of float16, float32,
    float64 or tconv.bfloat16, and may have any memory order; they are sent from where they are if
    they are contiguous. Errors are those of tconv.errors, beside TypeError for arrays of other
    types. A `timeout` is in seconds, of all attempts together, math.inf for as long as it takes,
    None for that of the client. Thread-safe.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:8500",
        *,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        allow_plaintext_token: bool = False,
        timeout: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Returns at once; the first call connects, and later ones reconnect when they have to.

        Without `credentials` the connection is plain text. A token tells the server who calls; a
        file is read again while the client lives, so that tokens can be replaced. ValueError: the
        token would go to another machine in plain text, and this is not allowed by name.
        """
        has_token = token is not None or token_file is not None
        is_safe = credentials is not None or allow_plaintext_token or is_local(target)
        if has_token and not is_safe:
            raise ValueError(f"the token is not sent to {target} in plain text: use TLS")
        bearer = Bearer(token, token_file)
        super().__init__(Connection(target, credentials, bearer, timeout, retry or RetryPolicy()))
        # Of the layers and chains that have been streamed.
        self._channels_first: dict[str, bool] = {}

    def close(self) -> None:
        """Ends calls that are running."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(
        self,
        definition: LayerDefinition,
        *,
        name: str = "",
        input_shape: OpenShape = (),
        weights: Weights | None = None,
        timeout: float | None = None,
    ) -> layer_pb2.Layer:
        """Creates a layer, and builds it when it gets an `input_shape` with the channels, or
        `weights`. AlreadyExists: the name is taken.

        An empty name is the one in the definition, else one that is generated as Keras does.
        """
        message = transposed_conv_pb2.CreateRequest(
            name=name, input_shape=_extents(input_shape), **_definition(definition)
        )
        request = Request(message)
        if weights is not None:
            put_weights(request, "weights", weights)
        return self._ask(
            "TransposedConvService/Create",
            request,
            transposed_conv_pb2.CreateResponse,
            timeout=timeout,
        ).layer

    def build(
        self, name: str, input_shape: OpenShape, *, timeout: float | None = None
    ) -> layer_pb2.Layer:
        """Fixes the channels of a layer's input and runs its initializers.

        FailedPrecondition: it is built already.
        """
        return self._ask(
            "TransposedConvService/Build",
            transposed_conv_pb2.BuildRequest(name=name, input_shape=_extents(input_shape)),
            transposed_conv_pb2.BuildResponse,
            timeout=timeout,
        ).layer

    def set_weights(
        self,
        name: str,
        kernel: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        *,
        if_version: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Replaces the weights, all or nothing, and returns their new version; of any size.

        `bias` is there exactly when the layer uses one. With `if_version` only when the weights
        are at that version, else Aborted. FailedPrecondition: not built.
        """
        kernel = arrays.to_wire(kernel)
        bias = None if bias is None else arrays.to_wire(bias)
        weights = Weights(kernel, bias)
        repeatable = if_version is not None
        if kernel.nbytes + (0 if bias is None else bias.nbytes) >= _STREAMED_BYTES:
            return self._connection.repeat(
                lambda left: _streams.set_weights(
                    self._connection, name, weights, if_version, left
                ),
                timeout,
                repeatable,
            )
        request = Request(
            transposed_conv_pb2.SetWeightsRequest(name=name, if_version=if_version)
        )
        put_weights(request, "weights", weights)
        return self._ask(
            "TransposedConvService/SetWeights",
            request,
            transposed_conv_pb2.SetWeightsResponse,
            timeout=timeout,
            repeatable=repeatable,
        ).weights_version

    def get_weights(self, name: str, *, timeout: float | None = None) -> VersionedWeights:
        """The weights bit for bit, of any size. FailedPrecondition: not built."""
        return self._connection.repeat(
            lambda left: _streams.get_weights(self._connection, name, left), timeout, True
        )

    def forward(
        self,
        name: str,
        x: npt.ArrayLike,
        *,
        compute_losses: bool = False,
        min_version: int = 0,
        transfer: Literal["auto", "message", "stream"] = "auto",
        timeout: float | None = None,
    ) -> ForwardResult:
        """Computes a layer, activation(transposed_convolution(x, kernel) + bias), or a chain.

        `x` is [batch, spatial..., channels] or [batch, channels, spatial...] by the data format,
        of any batch and spatial extents. `min_version` is the least version of the weights to
        compute with, as set_weights() returned it on whichever server. Large inputs travel as
        streams; ask for one when a small input has an output beyond 2 GiB.
        FailedPrecondition: no weights.
        """
        array = arrays.to_wire(x)
        if transfer == "stream" or (transfer == "auto" and array.nbytes >= _STREAMED_BYTES):
            start = _forward_start(name, array.shape, array.dtype, compute_losses, min_version)
            return self._connection.repeat(
                lambda left: self._forward_streamed(start, array, left), timeout, True
            )
        request = Request(
            transposed_conv_pb2.ForwardRequest(
                name=name, compute_losses=compute_losses, min_version=min_version
            )
        )
        request.put("input", array)
        answer, timing = self._call(
            "TransposedConvService/Forward",
            request,
            transposed_conv_pb2.ForwardResponse,
            timeout=timeout,
            repeatable=True,
        )
        output = answer.array("output")
        if output is None:
            raise errors.Internal("answer of the server: has no output")
        message = answer.message
        return ForwardResult(output, message.weights_version, list(message.losses), timing)

    def forward_stream(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        chunks: Iterable[npt.ArrayLike],
        *,
        compute_losses: bool = False,
        min_version: int = 0,
        timeout: float | None = None,
    ) -> ForwardStream:
        """Forward of an input that need not be in memory as a whole; never repeated.

        `chunks` are arrays of `dtype`, of any shapes, whose elements one after the other are the
        input of this shape in stream order: row-major, except that with channels_first the
        channels come after the outermost spatial axis, [batch, depth, channels, height, width].
        They are taken on another thread, while the output comes. What they raise, the stream
        raises.
        """
        start = _forward_start(name, shape, dtype, compute_losses, min_version)
        return self._connection.repeat(
            lambda left: _streams.forward(
                self._connection, start, _checked(chunks, dtype), left
            ),
            timeout,
            False,
        )

    def compute_output_shape(
        self, name: str, input_shape: OpenShape, *, timeout: float | None = None
    ) -> tuple[int | None, ...]:
        """The shape of the output of a layer, built or not, or of a chain."""
        answer = self._ask(
            "TransposedConvService/ComputeOutputShape",
            transposed_conv_pb2.ComputeOutputShapeRequest(
                name=name, input_shape=_extents(input_shape)
            ),
            transposed_conv_pb2.ComputeOutputShapeResponse,
            timeout=timeout,
            repeatable=True,
        )
        return tuple(None if extent < 0 else extent for extent in answer.output_shape)

    def get(self, name: str, *, timeout: float | None = None) -> layer_pb2.Layer:
        """Describes a layer, with the plans that compute it."""
        return self._ask(
            "TransposedConvService/Get",
            transposed_conv_pb2.GetRequest(name=name),
            transposed_conv_pb2.GetResponse,
            timeout=timeout,
            repeatable=True,
        ).layer

    def list_layers(self, *, timeout: float | None = None) -> Iterator[layer_pb2.Layer]:
        """All layers in the order of their names; the timeout is that of each page.

        A layer that is created or deleted meanwhile may be missing or listed.
        """
        return self._pages(
            "TransposedConvService/List",
            transposed_conv_pb2.ListRequest(),
            transposed_conv_pb2.ListResponse,
            "layers",
            timeout,
        )

    def delete(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a layer and its weights. FailedPrecondition: a chain has it."""
        self._ask(
            "TransposedConvService/Delete",
            transposed_conv_pb2.DeleteRequest(name=name),
            transposed_conv_pb2.DeleteResponse,
            timeout=timeout,
        )

    def get_log_level(self, *, timeout: float | None = None) -> str:
        """From which level on the server writes its log: "trace", "debug", "info", "warning",
        "error", "critical" or "off"."""
        return self._ask(
            "AdminService/GetLogLevel",
            admin_pb2.GetLogLevelRequest(),
            admin_pb2.GetLogLevelResponse,
            timeout=timeout,
            repeatable=True,
        ).level

    def set_log_level(self, level: str, *, timeout: float | None = None) -> str:
        """Changes that until the server ends, and returns the level until now."""
        return self._ask(
            "AdminService/SetLogLevel",
            admin_pb2.SetLogLevelRequest(level=level),
            admin_pb2.SetLogLevelResponse,
            timeout=timeout,
        ).previous_level

    def check_health(self, service: str = "", *, timeout: float | None = None) -> None:
        """Asks the standard health service; an empty `service` is the whole server.

        Unavailable: it does not serve, or cannot be reached. NotFound: it has no such service.
        """
        answer, _ = self._connection.unary(
            "/grpc.health.v1.Health/Check",
            _foreign.HealthCheckRequest(service=service).SerializeToString(),
            _foreign.HealthCheckResponse,
            timeout=timeout,
            repeatable=True,
        )
        status = answer.message.status
        if status != _foreign.HealthCheckResponse.SERVING:
            name = _foreign.HealthCheckResponse.ServingStatus.Name(status)
            raise errors.Unavailable(f"the server answers, but is not serving: {name}")

    def _forward_streamed(
        self,
        start: transposed_conv_pb2.ForwardStreamStart,
        array: arrays.Array,
        left: float | None,
    ) -> ForwardResult:
        """One attempt. The beginning of the answer tells in which order the elements travel; a
        call that has guessed otherwise is made anew."""
        while True:
            channels_first = self._channels_first.get(start.name, False)
            chunks = _streams.in_stream_order(array, channels_first)
            with _streams.forward(self._connection, start, chunks, left) as stream:
                if stream.channels_first == channels_first:
                    output = _streams.collect(stream)
                    return ForwardResult(
                        output, stream.weights_version, stream.losses, stream.timing
                    )
            self._channels_first[start.name] = stream.channels_first


def _definition(definition: LayerDefinition) -> dict[str, Any]:
    """The field of a CreateRequest that holds it."""
    if isinstance(definition, layer_pb2.LayerConfig):
        return {"config": definition}
    if isinstance(definition, ConvTranspose):
        return {"keras_json": definition.to_json()}
    return {"keras_json": definition if isinstance(definition, str) else json.dumps(definition)}


def _extents(shape: OpenShape) -> list[int]:
    return [-1 if extent is None else extent for extent in shape]


def _forward_start(
    name: str,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    compute_losses: bool,
    min_version: int,
) -> transposed_conv_pb2.ForwardStreamStart:
    return transposed_conv_pb2.ForwardStreamStart(
        name=name,
        input=_streams.header_of(dtype, shape),
        compute_losses=compute_losses,
        min_version=min_version,
    )


def _checked(chunks: Iterable[npt.ArrayLike], dtype: npt.DTypeLike) -> Iterator[arrays.Array]:
    """The chunks as they travel. TypeError: one is of another type."""
    expected = arrays.to_wire(np.empty(0, dtype)).dtype
    for chunk in chunks:
        array = arrays.to_wire(chunk)
        if array.dtype != expected:
            raise TypeError(f"expected chunks of {expected}, got {array.dtype}")
        yield array
