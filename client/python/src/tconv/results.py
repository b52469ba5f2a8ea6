"""What the calls of a client take and answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy.typing as npt

from tconv.arrays import Array
from tconv.v1 import layer_pb2, transposed_conv_pb2


class Weights(NamedTuple):
    """Weights in the order and layout of Keras: Weights(*layer.get_weights())."""

    kernel: npt.ArrayLike  # [kernel_size..., filters, channels of the input]
    bias: npt.ArrayLike | None = None  # [filters]; None without use_bias


class VersionedWeights(NamedTuple):
    """Weights as the server holds them, in the variable dtype of the layer's policy."""

    kernel: Array
    bias: Array | None
    version: int  # 1 after building, and one more after every change


@dataclass(frozen=True)
class ServerTiming:
    """Where the server spent the time of one call, in seconds."""

    queue: float = 0.0  # waiting for its turn
    plan: float = 0.0  # finding or compiling the plan
    compute: float = 0.0
    serialize: float = 0.0  # making the answer


@dataclass(frozen=True)
class ForwardResult:
    """The answer of Client.forward."""

    output: Array  # in the data format of the layer and the compute dtype of its policy
    weights_version: int  # of the weights that were used
    losses: list[transposed_conv_pb2.Loss]  # when asked for: layer.losses in Keras' order
    timing: ServerTiming | None  # None when the server does not tell


@dataclass(frozen=True)
class BackwardResult:
    """The answer of Client.backward."""

    input_gradient: Array | None  # None when skipped
    weight_gradients: Weights | None  # in the variable dtype; None when skipped
    weights_version: int  # of the weights that were used
    losses: list[transposed_conv_pb2.Loss]  # when they are included
    timing: ServerTiming | None


@dataclass(frozen=True)
class StepResult:
    """What a step of an optimizer has done."""

    weights_version: int  # after the step
    iterations: int  # steps that have been made, this one included
    already_applied: bool  # whether an earlier request with the same step_id made the step


@dataclass(frozen=True)
class TrainStepResult(StepResult):
    """The answer of Client.train_step; all but the first three are from before the step."""

    loss: float | None  # against the target; None with `upstream`
    losses: list[transposed_conv_pb2.Loss]  # layer.losses in Keras' order
    output: Array | None  # when asked for, and not already applied
    input_gradient: Array | None  # when asked for, and not already applied
    timing: ServerTiming | None


@dataclass(frozen=True)
class OptimizerSlots:
    """What an optimizer remembers of the gradients, in the shapes of the weights.

    Which ones there are depends on the optimizer and its arguments.
    """

    momentum: Weights | None = None
    velocity: Weights | None = None
    velocity_hat: Weights | None = None
    average_gradient: Weights | None = None


@dataclass(frozen=True)
class OptimizerStatus:
    """An optimizer as the server holds it."""

    optimizer: layer_pb2.KerasObject  # the class name, with every supported argument
    keras_json: str  # the same as JSON that keras.optimizers.deserialize accepts
    iterations: int  # steps that have been made
    slots: OptimizerSlots  # none before the first step
    weights_version: int  # of the weights that this state belongs to
