"""Layers and models of Keras on a server.

Keras itself is not needed: a layer is whatever has get_config() and get_weights() and the name
of a class of Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy.typing as npt

from tconv import errors
from tconv._chains import Step
from tconv.arrays import Array
from tconv.client import Client
from tconv.layers import keras_object
from tconv.results import Weights
from tconv.v1 import layer_pb2

_CONV_TRANSPOSE = {
    f"{word}{rank}DTranspose" for word in ("Conv", "Convolution") for rank in (1, 2, 3)
}
_ACTIVATIONS = ("Activation", "ELU", "LeakyReLU", "ReLU", "Softmax")
# They hand on their input, except while a model is trained.
_NO_STEPS = (
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "InputLayer",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
)
# What every layer has in its configuration.
_BOOKKEEPING = ("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "dynamic")


@dataclass(frozen=True)
class RemoteLayer:
    """A layer on a server, to be called as a layer of Keras is called."""

    client: Client
    name: str

    def __call__(self, x: npt.ArrayLike) -> Array:
        return self.client.forward(self.name, x).output

    def get_weights(self) -> list[Array]:
        kernel, bias, _ = self.client.get_weights(self.name)
        return [kernel] if bias is None else [kernel, bias]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        self.client.set_weights(self.name, *weights)

    def delete(self) -> None:
        """Removes it from the server."""
        self.client.delete(self.name)


@dataclass(frozen=True)
class RemoteChain:
    """A Sequential on a server, to be called as it is called in Keras."""

    client: Client
    name: str
    layers: tuple[RemoteLayer, ...]  # in their order; each is a layer of its own on the server

    def __call__(self, x: npt.ArrayLike) -> Array:
        return self.client.forward(self.name, x).output

    def delete(self) -> None:
        """Removes the chain and its layers from the server."""
        self.client.delete_chain(self.name)
        for layer in self.layers:
            layer.delete()


def from_keras(
    model: Any, client: Client | None = None, *, name: str | None = None
) -> Union[RemoteLayer, RemoteChain]:
    """Creates a built Conv{1,2,3}DTranspose with its weights on a server; or a Sequential of
    these and of activations, as a chain.

    Without a `client` the server is the one on this machine. `name` is that on the server, None
    for the model's own; the layers of a Sequential are called "<name>.<name of the layer>".
    Dropout and the like are no steps. All or nothing: when an error is raised, what has been
    created is deleted again.

    TypeError: a layer that a server cannot host. ValueError: a layer that is not built, or a
    Sequential that is no chain. AlreadyExists: a name is taken.
    """
    client = client or Client()
    name = name or model.name
    if _class_name(model) != "Sequential":
        _check_conv_transpose(model)
        return _create_layer(client, model, name)
    members = _members(model)
    created: list[RemoteLayer] = []
    steps: list[Step] = []
    try:
        for layer in members:
            if _class_name(layer) in _ACTIVATIONS:
                steps.append(_activation(_class_name(layer), layer.get_config()))
            else:
                created.append(_create_layer(client, layer, f"{name}.{layer.name}"))
                steps.append(created[-1].name)
        client.create_chain(name, steps)
    except errors.Error:
        for remote in created:
            remote.delete()
        raise
    return RemoteChain(client, name, tuple(created))


def _class_name(layer: Any) -> str:
    return type(layer).__name__


def _members(model: Any) -> list[Any]:
    """The layers of a Sequential, and of those within it, that are steps of a chain."""
    members = [layer for layer in _flattened(model) if _class_name(layer) not in _NO_STEPS]
    dtype = None
    for layer in members:
        if _class_name(layer) not in _ACTIVATIONS:
            _check_conv_transpose(layer)
            dtype = _compute_dtype(layer)
        elif dtype is None:
            raise ValueError(f"{layer.name}: expected a transposed convolution before it")
        elif _compute_dtype(layer) != dtype:
            # A chain computes it in the type of what comes.
            raise ValueError(f"{layer.name}: expected {dtype}, as the layer before it has")
    if not members:
        raise ValueError(f"{model.name}: expected at least one transposed convolution")
    return members


def _compute_dtype(layer: Any) -> str:
    policy = layer.get_config()["dtype"]
    name: str = policy if isinstance(policy, str) else policy["config"]["name"]
    return name.removeprefix("mixed_")


def _flattened(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if _class_name(layer) == "Sequential":
            yield from _flattened(layer)
        else:
            yield layer


def _check_conv_transpose(layer: Any) -> None:
    if _class_name(layer) not in _CONV_TRANSPOSE:
        raise TypeError(
            f"{layer.name}: expected a transposed convolution, got {_class_name(layer)}"
        )
    if not layer.get_weights():
        raise ValueError(f"{layer.name}: expected a layer that is built")


def _create_layer(client: Client, layer: Any, name: str) -> RemoteLayer:
    serialized = {"class_name": _class_name(layer), "config": layer.get_config()}
    client.create(serialized, name=name, weights=Weights(*layer.get_weights()))
    return RemoteLayer(client, name)


def _activation(class_name: str, config: Mapping[str, Any]) -> layer_pb2.KerasObject:
    """The function that an activation layer is, with its arguments."""
    arguments = {name: value for name, value in config.items() if name not in _BOOKKEEPING}
    if class_name != "Activation":
        return keras_object(class_name, **arguments)
    function = arguments["activation"]
    if isinstance(function, str):
        return keras_object(function)
    return _activation(function["class_name"], function["config"])
