"""A caller whose types mypy checks; it is not run."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import tconv


def call(client: tconv.Client, x: npt.NDArray[np.float32]) -> None:
    definition = tconv.Conv2DTranspose(8, 3, strides=(2, 2))
    layer = client.create(definition, input_shape=(None, None, None, 3))
    assert_type(layer.name, str)
    assert_type(client.forward(layer.name, x).output, npt.NDArray[Any])
    assert_type(client.get_weights(layer.name).version, int)
    assert_type(client.compute_output_shape(layer.name, x.shape), tuple[int | None, ...])
    assert_type(client.create_chain("decoder", [layer.name, tconv.keras_object("tanh")]).name, str)
    client.forward(layer.name, x, transfer="slowly")  # type: ignore[arg-type]
    client.set_weights(layer.name)  # type: ignore[call-arg]
    try:
        client.delete(layer.name)
    except tconv.InvalidArgument as error:
        assert_type(error.field_violations, tuple[tconv.FieldViolation, ...])
