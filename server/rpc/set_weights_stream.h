// SetWeightsStream: weights that arrive in parts.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/host/layer_host.h"
#include "server/rpc/method.h"

namespace tconv::server {

// The reactor of one call, to be returned to gRPC. Receives the elements straight
// into the tensors that become the weights. Lives until gRPC is done with it; all
// others must outlive it.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartSetWeightsStream(
    LayerHost& host, const Method& method, grpc::CallbackServerContext& context,
    grpc::ByteBuffer& response);

}  // namespace tconv::server
