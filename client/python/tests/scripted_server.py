"""A server in this process that answers what a test says."""

from concurrent import futures

import grpc
from google.protobuf import any_pb2

from tconv import _foreign


class Failure(Exception):
    """Makes a call fail with this status."""

    def __init__(self, code, message="no", *details):
        super().__init__(message)
        self.code, self.message = code, message
        self.status = _foreign.Status(code=code.value[0], message=message)
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            self.status.details.add(type_url=packed.type_url, value=packed.value)


class ScriptedServer(grpc.GenericRpcHandler):
    """Answers each call with the next of `script`: a Failure, or the bytes of all messages.

    `calls` are the calls that have come: path, metadata, and the bytes of their messages.
    """

    def __init__(self, *script, credentials=None):
        self.script, self.calls = list(script), []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        free = "127.0.0.1:0"
        port = (
            self._server.add_insecure_port(free)
            if credentials is None
            else self._server.add_secure_port(free, credentials)
        )
        self.target = f"127.0.0.1:{port}"
        self._server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    def service(self, details):
        if details.method.startswith("/grpc.health"):
            return None  # then clients take it that the server serves

        def answer(requests, context):
            step = self.script.pop(0)
            self.calls.append((details.method, dict(details.invocation_metadata), list(requests)))
            if isinstance(step, Failure):
                context.set_trailing_metadata(
                    (("grpc-status-details-bin", step.status.SerializeToString()),)
                )
                context.abort(step.code, step.message)
            yield from step

        return grpc.stream_stream_rpc_method_handler(answer)
