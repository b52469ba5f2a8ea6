"""What the examples share: a tconv server called with nothing but its .proto files.

Needs protoc, and the modules grpc, google.protobuf and numpy.
"""

import pathlib
import subprocess
import sys
import tempfile

import grpc
import numpy as np

# A project would do this once, when it is built.
_protos = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else (
    pathlib.Path(__file__).resolve().parents[2] / "proto")
_generated = tempfile.TemporaryDirectory()
subprocess.run(["protoc", f"--proto_path={_protos}", f"--python_out={_generated.name}",
                *sorted(_protos.glob("tconv/v1/*.proto")),
                *sorted(_protos.glob("inference/*.proto"))], check=True)
sys.path.insert(0, _generated.name)
from inference import grpc_inference_service_pb2
from tconv.v1 import chain_pb2, layer_pb2, tensor_pb2, training_pb2, transposed_conv_pb2

_SERVICES = {"tconv.v1.TransposedConvService": transposed_conv_pb2,
             "tconv.v1.ChainService": chain_pb2, "tconv.v1.TrainingService": training_pb2,
             "inference.GRPCInferenceService": grpc_inference_service_pb2}
_DTYPES = {np.dtype("<f4"): tensor_pb2.DATA_TYPE_FLOAT32,
           np.dtype("<f8"): tensor_pb2.DATA_TYPE_FLOAT64}


class Client:
    """A connection to the server at `target`, "host:port"."""

    def __init__(self, target):
        self._channel = grpc.insecure_channel(
            target, options=[("grpc.max_send_message_length", -1),
                             ("grpc.max_receive_message_length", -1)])

    def call(self, rpc, **fields):
        """Calls <rpc> with the fields of its request, and returns the response."""
        service, messages = next((s, m) for s, m in _SERVICES.items() if hasattr(m, f"{rpc}Request"))
        stub = self._channel.unary_unary(f"/{service}/{rpc}",
                                         getattr(messages, f"{rpc}Request").SerializeToString,
                                         getattr(messages, f"{rpc}Response").FromString)
        return stub(getattr(messages, f"{rpc}Request")(**fields), timeout=60)


def connect():
    """The server of the command line, else the one on this machine."""
    return Client(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8500")


def to_tensor(array):
    array = np.asarray(array)
    return tensor_pb2.Tensor(dtype=_DTYPES[array.dtype], shape=array.shape, data=array.tobytes())


def to_array(tensor):
    dtype = next(d for d, number in _DTYPES.items() if number == tensor.dtype)
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def to_weights(kernel, bias):
    return layer_pb2.Weights(kernel=to_tensor(kernel), bias=to_tensor(bias))


def to_object(name, **arguments):
    """An optimizer, loss, activation... by its Keras name."""
    result = layer_pb2.KerasObject(name=name)
    result.arguments.update(arguments)
    return result
