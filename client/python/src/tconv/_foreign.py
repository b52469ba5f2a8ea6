"""Messages of protocols whose names are not ours: google.rpc and grpc.health.v1.

Other packages may bring the same names, and a pool of protobuf knows each only once. These
are therefore in a pool of their own, made of what the build has found in the .proto files.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    importlib.resources.files("tconv").joinpath("foreign.binpb").read_bytes()
).file:
    _pool.AddSerializedFile(_file.SerializeToString())


def _message(name: str) -> Any:
    descriptor = _pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):  # since protobuf 4.22
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_pool).GetPrototype(descriptor)


Status = _message("google.rpc.Status")
BadRequest = _message("google.rpc.BadRequest")
RetryInfo = _message("google.rpc.RetryInfo")
HealthCheckRequest = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _message("grpc.health.v1.HealthCheckResponse")
