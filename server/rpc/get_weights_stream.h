// GetWeightsStream: weights in messages that share the server's own memory.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include "server/host/layer_host.h"
#include "server/rpc/method.h"

namespace tconv::server {

// The reactor of one call, to be returned to gRPC, for which the method is a generic
// one: else it would read the whole request before anybody is asked. Holds the weights until all
// are sent, and counts them as long. Lives until gRPC is done with it; all others
// must outlive it.
grpc::ServerGenericBidiReactor* StartGetWeightsStream(LayerHost& host, const Method& method,
                                                      grpc::GenericCallbackServerContext& context);

}  // namespace tconv::server
