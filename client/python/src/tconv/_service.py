"""What all calls of a client have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from tconv._codec import Answer, AnyMessage, Request
from tconv._connection import Connection
from tconv.results import ServerTiming, Weights


class Service:
    """Calls without streams, with their tensors in arrays."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _call(
        self,
        method: str,
        request: Request | Message,
        answer_class: type[AnyMessage],
        *,
        timeout: float | None,
        repeatable: bool = False,
    ) -> tuple[Answer[AnyMessage], ServerTiming | None]:
        """`method` is "Service/Method" of tconv.v1."""
        if not isinstance(request, Request):
            request = Request(request)
        return self._connection.unary(
            f"/tconv.v1.{method}",
            request.encode(),
            answer_class,
            layer=getattr(request.message, "name", ""),
            timeout=timeout,
            repeatable=repeatable,
        )

    def _ask(
        self,
        method: str,
        request: Request | Message,
        answer_class: type[AnyMessage],
        *,
        timeout: float | None,
        repeatable: bool = False,
    ) -> AnyMessage:
        """The answer of a call that answers no tensors."""
        answer, _ = self._call(
            method, request, answer_class, timeout=timeout, repeatable=repeatable
        )
        return answer.message

    def _pages(
        self,
        method: str,
        request: Any,
        answer_class: type[AnyMessage],
        items: str,
        timeout: float | None,
    ) -> Iterator[Any]:
        """What all pages of a list have in their field `items`."""
        while True:
            page: Any = self._ask(method, request, answer_class, timeout=timeout, repeatable=True)
            yield from getattr(page, items)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def put_weights(request: Request, path: str, weights: Weights) -> None:
    request.put(f"{path}.kernel", weights.kernel)
    if weights.bias is not None:
        request.put(f"{path}.bias", weights.bias)


def take_weights(answer: Answer[Any], path: str) -> Weights | None:
    """None: the answer has none."""
    kernel = answer.array(f"{path}.kernel")
    return None if kernel is None else Weights(kernel, answer.array(f"{path}.bias"))
