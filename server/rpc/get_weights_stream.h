// GetWeightsStream: weights in messages that share the server's own memory.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/host/layer_host.h"
#include "server/rpc/method.h"

namespace tconv::server {

// The reactor of one call, to be returned to gRPC. Holds the weights until all
// are sent, and counts them as long. Lives until gRPC is done with it; all others
// must outlive it.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartGetWeightsStream(
    LayerHost& host, const Method& method, grpc::CallbackServerContext& context,
    const grpc::ByteBuffer& request);

}  // namespace tconv::server
