// Calls of ModelStreamInfer.
#pragma once

#include <grpcpp/support/server_callback.h>

#include "server/host/layer_host.h"
#include "server/rpc/method.h"

namespace tconv::server {

// Requests that one stream has under way at most, from their arrival until their answer is
// delivered: what bounds its memory.
inline constexpr size_t kMostStreamedRequests = 16;

// Begins a call; all that is given must outlive it.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartInferStream(
    LayerHost& host, const Method& method, grpc::CallbackServerContext& context);

}  // namespace tconv::server
