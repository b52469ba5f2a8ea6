"""The calls that train a layer, of tconv.v1.TrainingService."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping
from typing import Any, Union

import numpy.typing as npt

from tconv._codec import Request
from tconv._service import Service, put_weights, take_weights
from tconv.results import (
    BackwardResult,
    OptimizerSlots,
    OptimizerStatus,
    StepResult,
    TrainStepResult,
    Weights,
)
from tconv.v1 import layer_pb2, training_pb2

_SLOTS = [field.name for field in dataclasses.fields(OptimizerSlots)]
# keras_object("Adam"), or what keras.optimizers.serialize() returns, or that as JSON.
Optimizer = Union[layer_pb2.KerasObject, Mapping[str, Any], str]


class Training(Service):
    """The part of a client that trains.

    Every step has a name, `step_id`, so that it is made once however often it is asked for; the
    server knows the last 16 of a layer. None: a random one. Give one to ask again yourself, after
    DeadlineExceeded or in another process. `learning_rate` is for one step alone, in place of the
    optimizer's. With `if_version` a step is made only if the weights are at this version, else
    the error is Aborted.

    FailedPrecondition, of all steps: no weights, no optimizer, or frozen.
    """

    def set_trainable(
        self, name: str, trainable: bool, *, timeout: float | None = None
    ) -> layer_pb2.Layer:
        """Freezes a layer, which then refuses steps, or thaws it."""
        request = training_pb2.SetTrainableRequest(name=name, trainable=trainable)
        return self._ask(
            "TrainingService/SetTrainable",
            request,
            training_pb2.SetTrainableResponse,
            timeout=timeout,
            repeatable=True,
        ).layer

    def set_optimizer(
        self,
        name: str,
        optimizer: Optimizer,
        *,
        iterations: int = 0,
        slots: OptimizerSlots | None = None,
        timeout: float | None = None,
    ) -> layer_pb2.Layer:
        """Gives a layer an optimizer in place of the one that it has: SGD, Adam, AdamW, RMSprop.

        Its state begins anew, unless `iterations` and `slots` bring that of another one, as
        get_optimizer() returns it.
        """
        message = training_pb2.SetOptimizerRequest(name=name, iterations=iterations)
        if isinstance(optimizer, layer_pb2.KerasObject):
            message.optimizer.CopyFrom(optimizer)
        elif isinstance(optimizer, str):
            message.keras_json = optimizer
        else:
            message.keras_json = json.dumps(optimizer)
        request = Request(message)
        for slot in _SLOTS if slots is not None else ():
            weights = getattr(slots, slot)
            if weights is not None:
                put_weights(request, f"slots.{slot}", weights)
        return self._ask(
            "TrainingService/SetOptimizer",
            request,
            training_pb2.SetOptimizerResponse,
            timeout=timeout,
        ).layer

    def get_optimizer(self, name: str, *, timeout: float | None = None) -> OptimizerStatus:
        """The optimizer with its state. FailedPrecondition: the layer has none."""
        answer, _ = self._call(
            "TrainingService/GetOptimizer",
            training_pb2.GetOptimizerRequest(name=name),
            training_pb2.GetOptimizerResponse,
            timeout=timeout,
            repeatable=True,
        )
        status = answer.message
        slots = {slot: take_weights(answer, f"slots.{slot}") for slot in _SLOTS}
        return OptimizerStatus(
            optimizer=status.optimizer,
            keras_json=status.keras_json,
            iterations=status.iterations,
            slots=OptimizerSlots(**slots),
            weights_version=status.weights_version,
        )

    def backward(
        self,
        name: str,
        x: npt.ArrayLike,
        upstream: npt.ArrayLike,
        *,
        include_losses: bool = False,
        min_version: int = 0,
        skip_input_gradient: bool = False,
        skip_weight_gradients: bool = False,
        timeout: float | None = None,
    ) -> BackwardResult:
        """The gradients of sum(upstream * output), where output is what forward() answers to `x`.

        With `include_losses` those of the regularizers' losses are added. Changes nothing, and
        needs no optimizer.
        """
        request = Request(
            training_pb2.BackwardRequest(
                name=name,
                include_losses=include_losses,
                min_version=min_version,
                skip_input_gradient=skip_input_gradient,
                skip_weight_gradients=skip_weight_gradients,
            )
        )
        request.put("input", x)
        request.put("upstream", upstream)
        answer, timing = self._call(
            "TrainingService/Backward",
            request,
            training_pb2.BackwardResponse,
            timeout=timeout,
            repeatable=True,
        )
        return BackwardResult(
            input_gradient=answer.array("input_gradient"),
            weight_gradients=take_weights(answer, "weight_gradients"),
            weights_version=answer.message.weights_version,
            losses=list(answer.message.losses),
            timing=timing,
        )

    def apply_gradients(
        self,
        name: str,
        gradients: Weights,
        *,
        if_version: int | None = None,
        learning_rate: float | None = None,
        step_id: str | None = None,
        timeout: float | None = None,
    ) -> StepResult:
        """One step of the optimizer with dL/dkernel and dL/dbias."""
        request = Request(
            training_pb2.ApplyGradientsRequest(
                name=name,
                if_version=if_version,
                learning_rate=learning_rate,
                step_id=step_id or uuid.uuid4().hex,
            )
        )
        put_weights(request, "gradients", gradients)
        step = self._ask(
            "TrainingService/ApplyGradients",
            request,
            training_pb2.ApplyGradientsResponse,
            timeout=timeout,
            repeatable=True,
        )
        return StepResult(step.weights_version, step.iterations, step.already_applied)

    def train_step(
        self,
        name: str,
        x: npt.ArrayLike,
        target: npt.ArrayLike | None = None,
        loss: layer_pb2.KerasObject | str | None = None,
        *,
        upstream: npt.ArrayLike | None = None,
        if_version: int | None = None,
        learning_rate: float | None = None,
        step_id: str | None = None,
        return_output: bool = False,
        return_input_gradient: bool = False,
        timeout: float | None = None,
    ) -> TrainStepResult:
        """Forward, loss, backward and one step of the optimizer: no tensor travels twice.

        Learns from a `target` and a `loss`, "mean_squared_error", "mean_absolute_error" or
        keras_object("BinaryCrossentropy", from_logits=True); or from `upstream`, dL/doutput of a
        loss that the caller computes. The losses of the regularizers are added.
        """
        message = training_pb2.TrainStepRequest(
            name=name,
            if_version=if_version,
            learning_rate=learning_rate,
            step_id=step_id or uuid.uuid4().hex,
            return_output=return_output,
            return_input_gradient=return_input_gradient,
        )
        if loss is not None:
            named = layer_pb2.KerasObject(name=loss) if isinstance(loss, str) else loss
            message.loss.CopyFrom(named)
        request = Request(message)
        for path, values in (("input", x), ("target", target), ("upstream", upstream)):
            if values is not None:
                request.put(path, values)
        answer, timing = self._call(
            "TrainingService/TrainStep",
            request,
            training_pb2.TrainStepResponse,
            timeout=timeout,
            repeatable=True,
        )
        step = answer.message
        return TrainStepResult(
            step.weights_version,
            step.iterations,
            step.already_applied,
            loss=step.loss if step.HasField("loss") else None,
            losses=list(step.losses),
            output=answer.array("output"),
            input_gradient=answer.array("input_gradient"),
            timing=timing,
        )
