"""What a call raises when it fails: one class for each code of gRPC that servers answer with.

Where Python has a class of its own for the same thing, the error is one of these, too:
a DeadlineExceeded is a TimeoutError, a NotFound a LookupError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from tconv import _foreign


@dataclass(frozen=True)
class FieldViolation:
    """A field of a request that the server refused."""

    field: str  # path from the request, like "weights.kernel.shape"
    description: str  # what was expected and what came


class Error(Exception):
    """A call has failed. str() is the message of the server."""

    code = grpc.StatusCode.UNKNOWN  # of this very class: any that has no class of its own

    def __init__(
        self,
        message: str,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_delay: float | None = None,
    ) -> None:
        super().__init__(message)
        self.field_violations = field_violations
        # Seconds after which the server thinks that another try is worth it.
        self.retry_delay = retry_delay


class InvalidArgument(Error, ValueError):
    """The request is malformed; `field_violations` tell where."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceeded(Error, TimeoutError):
    """The timeout is over."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFound(Error, LookupError):
    """There is no layer or chain of this name."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(Error):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(Error):
    """The token is not good for this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(Error):
    """Beyond a limit of the server, or of a message."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(Error):
    """The layer is not in a state for this: not built, in a chain, frozen, ..."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(Error):
    """The weights are not at `if_version`."""

    code = grpc.StatusCode.ABORTED


class Unimplemented(Error):
    """The server does not have this call, or not for this layer or chain."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(Error):
    """The server failed, or its answer is not one."""

    code = grpc.StatusCode.INTERNAL


class Unavailable(Error, ConnectionError):
    """The server cannot be reached, or is shutting down."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLoss(Error):
    """Stored weights are damaged, or what arrived as a stream is not what was sent."""

    code = grpc.StatusCode.DATA_LOSS


class Unauthenticated(Error):
    """The server wants a token, or does not know this one."""

    code = grpc.StatusCode.UNAUTHENTICATED


_CLASSES = {error.code: error for error in Error.__subclasses__()}
_TYPE_URL = "type.googleapis.com/"
_DETAILS_KEY = "grpc-status-details-bin"


def from_call(call: grpc.RpcError) -> Error:
    """The error of a call of gRPC that has failed."""
    code = call.code()
    message = call.details() or code.name
    if code is grpc.StatusCode.CANCELLED:
        # gRPC's word for calls that reach a server just after that has sent its clients away.
        # Nobody here cancels a call and then waits for it.
        return Unavailable(f"the server has cut the call off: {message}")
    violations: list[FieldViolation] = []
    retry_delay = None
    for detail in _details(call):
        if isinstance(detail, _foreign.BadRequest):
            violations += [FieldViolation(v.field, v.description) for v in detail.field_violations]
        elif isinstance(detail, _foreign.RetryInfo):
            delay = detail.retry_delay
            retry_delay = max(delay.seconds + delay.nanos / 1e9, 0.0)
    return _CLASSES.get(code, Error)(message, tuple(violations), retry_delay)


def _details(call: grpc.RpcError) -> Iterator[Any]:
    """The google.rpc details of a status, as far as they mean something here."""
    known = {
        _TYPE_URL + message.DESCRIPTOR.full_name: message
        for message in (_foreign.BadRequest, _foreign.RetryInfo)
    }
    for key, value in call.trailing_metadata() or ():
        if key != _DETAILS_KEY:
            continue
        for detail in _foreign.Status.FromString(value).details:
            if detail.type_url in known:
                yield known[detail.type_url].FromString(detail.value)
