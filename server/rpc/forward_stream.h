// ForwardStream: an input and an output that pass through the server in parts.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/host/layer_host.h"
#include "server/rpc/method.h"

namespace tconv::server {

// The reactor of one call, to be returned to gRPC. Receiving, computing and
// sending go on at once, each as far as the two others allow: nothing is read
// without a place for it, and nothing computed that nobody takes. Lives until
// gRPC is done with it; all others must outlive it.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartForwardStream(
    LayerHost& host, const Method& method, grpc::CallbackServerContext& context);

}  // namespace tconv::server
