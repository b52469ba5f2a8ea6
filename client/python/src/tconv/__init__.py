"""Keras' transposed-convolution layers on a tconv server: numpy in, numpy out.

    client = tconv.Client("127.0.0.1:8500")
    layer = client.create(tconv.Conv2DTranspose(8, 3, strides=2), input_shape=(None, None, None, 3))
    y = client.forward(layer.name, x).output

or, with a layer of Keras, tconv.from_keras(layer)(x).
"""

from tconv.arrays import bfloat16, to_bfloat16, to_float32
from tconv.client import Client, tls_credentials
from tconv.errors import (
    Aborted,
    AlreadyExists,
    DataLoss,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from tconv.keras import RemoteChain, RemoteLayer, from_keras
from tconv.layers import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose, keras_object
from tconv.results import (
    BackwardResult,
    ForwardResult,
    OptimizerSlots,
    OptimizerStatus,
    ServerTiming,
    StepResult,
    TrainStepResult,
    VersionedWeights,
    Weights,
)
from tconv._connection import RetryPolicy
from tconv._streams import ForwardStream

__all__ = [
    "Aborted",
    "AlreadyExists",
    "BackwardResult",
    "Client",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "DataLoss",
    "DeadlineExceeded",
    "Error",
    "FailedPrecondition",
    "FieldViolation",
    "ForwardResult",
    "ForwardStream",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OptimizerSlots",
    "OptimizerStatus",
    "PermissionDenied",
    "RemoteChain",
    "RemoteLayer",
    "ResourceExhausted",
    "RetryPolicy",
    "ServerTiming",
    "StepResult",
    "TrainStepResult",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "VersionedWeights",
    "Weights",
    "bfloat16",
    "from_keras",
    "keras_object",
    "tls_credentials",
    "to_bfloat16",
    "to_float32",
]
