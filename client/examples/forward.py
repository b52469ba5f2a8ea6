#!/usr/bin/python3
"""Calls a tconv server from Python, with nothing but its .proto files.

    forward.py [HOST:PORT [PROTO_FOLDER]]

Needs protoc, and the modules grpc, google.protobuf and numpy. Creates a layer
from Keras' JSON, sets its weights, computes, and compares with numpy.
"""

import pathlib
import subprocess
import sys
import tempfile

import grpc
import numpy as np

target = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8500"
protos = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else (
    pathlib.Path(__file__).resolve().parents[2] / "proto")

# A project would do this once, when it is built.
generated = tempfile.TemporaryDirectory()
subprocess.run(["protoc", f"--proto_path={protos}", f"--python_out={generated.name}",
                *sorted(protos.glob("tconv/v1/*.proto"))], check=True)
sys.path.insert(0, generated.name)
from tconv.v1 import layer_pb2, tensor_pb2, transposed_conv_pb2 as pb

channel = grpc.insecure_channel(target, options=[("grpc.max_send_message_length", -1),
                                                 ("grpc.max_receive_message_length", -1)])


def call(rpc, **fields):
    """Calls tconv.v1.TransposedConvService.<rpc> with the fields of its request."""
    stub = channel.unary_unary(f"/tconv.v1.TransposedConvService/{rpc}",
                               getattr(pb, f"{rpc}Request").SerializeToString,
                               getattr(pb, f"{rpc}Response").FromString)
    return stub(getattr(pb, f"{rpc}Request")(**fields), timeout=60)


def to_tensor(array):
    return tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT32, shape=array.shape,
                             data=array.astype("<f4").tobytes())


def to_array(tensor):
    return np.frombuffer(tensor.data, "<f4").reshape(tensor.shape)


# The text of json.dumps(layer.get_config()), shortened.
KERAS_JSON = """{"name": "python_upsample", "filters": 5, "kernel_size": [2, 2], "strides": [2, 2],
                 "padding": "valid", "activation": "relu"}"""

rng = np.random.default_rng(0)
x = rng.standard_normal((4, 8, 6, 3), np.float32)  # [batch, height, width, channels]
kernel = rng.standard_normal((2, 2, 5, 3), np.float32)  # [height, width, filters, channels]
bias = rng.standard_normal(5, np.float32)

layer = call("Create", keras_json=KERAS_JSON, input_shape=[-1, -1, -1, 3]).layer
call("SetWeights", name=layer.name,
     weights=layer_pb2.Weights(kernel=to_tensor(kernel), bias=to_tensor(bias)))
y = to_array(call("Forward", name=layer.name, input=to_tensor(x)).output)
call("Delete", name=layer.name)

# With strides as large as the kernel, every output pixel has one source.
expected = np.maximum(
    np.einsum("nhwc,yxfc->nhywxf", x, kernel).reshape(4, 16, 12, 5) + bias, 0)
np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
print(f"{layer.name}: {x.shape} -> {y.shape}, as numpy computes it")
