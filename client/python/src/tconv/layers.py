"""Layers in the words of Keras, without Keras."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from tconv.v1 import layer_pb2

# One number for all axes, or one for each.
Extents = Union[int, Sequence[int]]
# A name, or what Keras serializes: {"class_name": "L2", "config": {"l2": 0.01}}.
KerasName = Union[str, Mapping[str, Any]]


def keras_object(name: str, **arguments: Any) -> layer_pb2.KerasObject:
    """An optimizer, loss or activation by its Keras name: keras_object("Adam", epsilon=1e-6)."""
    result = layer_pb2.KerasObject(name=name)
    result.arguments.update(arguments)
    return result


@dataclass(frozen=True)
class ConvTranspose:
    """The arguments of Keras' layer, with their defaults; the server checks them."""

    filters: int
    kernel_size: Extents
    strides: Extents = 1
    padding: str = "valid"
    _: dataclasses.KW_ONLY
    output_padding: Extents | None = None
    data_format: str = "channels_last"
    dilation_rate: Extents = 1
    activation: KerasName | None = None
    use_bias: bool = True
    kernel_initializer: KerasName = "glorot_uniform"
    bias_initializer: KerasName = "zeros"
    kernel_regularizer: KerasName | None = None
    bias_regularizer: KerasName | None = None
    activity_regularizer: KerasName | None = None
    kernel_constraint: KerasName | None = None
    bias_constraint: KerasName | None = None
    trainable: bool = True
    dtype: str = "float32"
    name: str | None = None

    def to_json(self) -> str:
        """The layer as keras.saving.serialize_keras_object() writes it, as JSON."""
        config = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "name" or self.name is not None
        }
        return json.dumps({"class_name": type(self).__name__, "config": config})


class Conv1DTranspose(ConvTranspose):
    """[batch, length, channels] to [batch, new length, filters]."""


class Conv2DTranspose(ConvTranspose):
    """[batch, height, width, channels] to [batch, new height, new width, filters]."""


class Conv3DTranspose(ConvTranspose):
    """[batch, depth, height, width, channels] to the same with new extents and filters."""
