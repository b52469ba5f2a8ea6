"""The calls about chains, of tconv.v1.ChainService."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Union

from tconv._service import Service
from tconv.v1 import chain_pb2, layer_pb2

# The name of a layer, or an activation by keras_object().
Step = Union[str, layer_pb2.KerasObject]


class Chains(Service):
    """The part of a client that puts layers behind each other.

    forward(), forward_stream() and compute_output_shape() take the name of a chain as they take
    that of a layer.
    """

    def create_chain(
        self, name: str, steps: Sequence[Step], *, timeout: float | None = None
    ) -> chain_pb2.Chain:
        """Makes a chain of layers that are built, and of activations; the first is a layer.

        AlreadyExists: a chain or a layer has the name. FailedPrecondition: a layer is not built.
        """
        request = chain_pb2.CreateChainRequest(name=name)
        for step in steps:
            if isinstance(step, str):
                request.steps.add(layer=step)
            else:
                request.steps.add(activation=step)
        return self._ask(
            "ChainService/CreateChain", request, chain_pb2.CreateChainResponse, timeout=timeout
        ).chain

    def get_chain(self, name: str, *, timeout: float | None = None) -> chain_pb2.Chain:
        """Describes a chain."""
        return self._ask(
            "ChainService/GetChain",
            chain_pb2.GetChainRequest(name=name),
            chain_pb2.GetChainResponse,
            timeout=timeout,
            repeatable=True,
        ).chain

    def list_chains(self, *, timeout: float | None = None) -> Iterator[chain_pb2.Chain]:
        """All chains in the order of their names, as list_layers()."""
        return self._pages(
            "ChainService/ListChains",
            chain_pb2.ListChainsRequest(),
            chain_pb2.ListChainsResponse,
            "chains",
            timeout,
        )

    def delete_chain(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a chain. Its layers stay."""
        self._ask(
            "ChainService/DeleteChain",
            chain_pb2.DeleteChainRequest(name=name),
            chain_pb2.DeleteChainResponse,
            timeout=timeout,
        )
