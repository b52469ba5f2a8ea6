"""The channel to a server: who calls, how long, and how often."""

from __future__ import annotations

import math
import os
import pathlib
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from tconv import errors
from tconv._codec import Answer, AnyMessage
from tconv.results import ServerTiming

Result = TypeVar("Result")

# Lets the server refuse a large message before it reads it.
_ANNOUNCED_BYTES = 64 << 10
# Longer names are wrong, and metadata has its limits, too.
_MAX_NAME_BYTES = 255
# A file with a token is not read more often.
_FILE_AGE_SECONDS = 1.0
# Calls take turns on the servers that say they serve.
_BALANCING = '{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}}'
_OF_REPLICAS = ("dns:", "ipv4:", "ipv6:")


@dataclass(frozen=True)
class RetryPolicy:
    """Whether a call that failed in passing is made again.

    That is after Unavailable, or after ResourceExhausted when the server says after which time
    another try is worth it. By themselves are repeated the calls that only read, and those that
    cannot act twice: set_trainable, steps by their names, and set_weights with `if_version`. The
    others are never repeated.

    Before attempt n + 1 the call waits a random time between one half and the whole of
    min(first_delay * 2 ** (n - 1), max_delay), after the time that the server asks for, if it
    does. It fails at once when its timeout would end before that.
    """

    attempts: int = 4  # at most; 1: never again
    first_delay: float = 0.1  # seconds
    max_delay: float = 2.0  # seconds

    def delay_after(self, attempt: int, error: errors.Error) -> float | None:
        """Seconds to wait after this attempt, counted from 1; None: it was the last one."""
        exhausted = isinstance(error, errors.ResourceExhausted)
        may_pass = isinstance(error, errors.Unavailable) or (
            exhausted and error.retry_delay is not None
        )
        if not may_pass or attempt >= self.attempts:
            return None
        longest = min(self.first_delay * 2.0 ** (attempt - 1), self.max_delay)
        return (error.retry_delay or 0.0) + random.uniform(longest / 2, longest)


class Bearer:
    """The token that calls carry. Thread-safe."""

    def __init__(self, token: str | None, token_file: str | os.PathLike[str] | None) -> None:
        self._token = None if token is None else _checked_token(token, "the token")
        self._file = None if token_file is None else pathlib.Path(token_file)
        self._read_at = -math.inf
        self._lock = threading.Lock()

    def metadata(self) -> list[tuple[str, str]]:
        """OSError, ValueError: the file cannot be read, or has no token."""
        with self._lock:
            now = time.monotonic()
            if self._file is not None and self._read_at + _FILE_AGE_SECONDS < now:
                self._token = _checked_token(self._file.read_text().rstrip(), str(self._file))
                self._read_at = now
            return [] if self._token is None else [("authorization", f"Bearer {self._token}")]


def _checked_token(token: str, source: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError(f"{source}: expected a token of visible ASCII characters")
    return token


def is_local(target: str) -> bool:
    """Whether calls to `target` do not leave this machine."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    address = re.sub(r"^(dns:///|dns:|ipv4:|ipv6:)", "", target)
    # "127.0.0.1" is, a name that begins alike need not be.
    return re.fullmatch(r"(localhost|\[::1\]|127\.[0-9.]+)(:[^:,]*)?", address) is not None


class Connection:
    """Calls of one server, or of replicas that take turns. Thread-safe."""

    def __init__(
        self,
        target: str,
        credentials: grpc.ChannelCredentials | None,
        bearer: Bearer,
        timeout: float,
        retry: RetryPolicy,
    ) -> None:
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            # A call that sends much to a server that has stopped reading would outlive its
            # timeout without them.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.max_pings_without_data", 0),
            # gRPC knows neither RetryInfo nor which calls may be repeated.
            ("grpc.enable_retries", 0),
        ]
        if target.startswith(_OF_REPLICAS):
            options.append(("grpc.service_config", _BALANCING))
        self._channel = (
            grpc.insecure_channel(target, options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options)
        )
        self._bearer = bearer
        self._timeout = timeout
        self._retry = retry

    def close(self) -> None:
        self._channel.close()

    def repeat(
        self, call: Callable[[float | None], Result], timeout: float | None, repeatable: bool
    ) -> Result:
        """Makes a call as RetryPolicy says. `call` takes the seconds that are left, None for all
        the time there is, and raises errors.Error."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        attempt = 1
        while True:
            left = deadline - time.monotonic()
            try:
                return call(None if left == math.inf else max(left, 0.0))
            except errors.Error as error:
                delay = self._retry.delay_after(attempt, error) if repeatable else None
                if delay is None or time.monotonic() + delay >= deadline:
                    raise
            time.sleep(delay)
            attempt += 1

    def unary(
        self,
        method: str,
        request: bytes,
        answer_class: type[AnyMessage],
        *,
        layer: str = "",
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> tuple[Answer[AnyMessage], ServerTiming | None]:
        """One message each way; `method` is "/package.Service/Method"."""
        call = self._channel.unary_unary(method)

        def attempt(left: float | None) -> tuple[bytes, grpc.Call]:
            metadata = self._metadata(layer)
            if len(request) > _ANNOUNCED_BYTES:
                metadata.append(("tconv-message-bytes", str(len(request))))
            answer: tuple[bytes, grpc.Call]
            try:
                answer = call.with_call(request, timeout=left, metadata=metadata)
            except grpc.RpcError as failure:
                raise errors.from_call(failure) from None
            return answer

        data, done = self.repeat(attempt, timeout, repeatable)
        return Answer(answer_class, data), timing_of(done)

    def stream(
        self, method: str, requests: Iterator[bytes], layer: str, left: float | None
    ) -> Any:
        """One attempt with any number of messages each way: a grpc.Call that is an iterator of
        bytes, and raises grpc.RpcError. Single messages are streams of one, on the wire."""
        call = self._channel.stream_stream(method)
        return call(requests, timeout=left, metadata=self._metadata(layer))

    def _metadata(self, layer: str) -> list[tuple[str, str]]:
        metadata = self._bearer.metadata()
        # For balancers that send the calls of a layer to one server.
        if layer and len(layer.encode()) <= _MAX_NAME_BYTES:
            metadata.append(("tconv-layer", urllib.parse.quote(layer, safe="")))
        return metadata


def timing_of(call: grpc.Call) -> ServerTiming | None:
    """What the server tells behind an answer; None if it does not."""
    for key, value in call.trailing_metadata() or ():
        if key == "tconv-timing":
            words = dict(re.findall(r"(\w+)=(\d+)", value))
            known = ServerTiming.__dataclass_fields__.keys() & words
            return ServerTiming(**{name: int(words[name]) / 1e6 for name in known})
    return None
