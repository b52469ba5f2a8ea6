// The door that tconv.v1.ChainService opens.
#pragma once

#include <tconv/v1/chain.grpc.pb.h>

#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/rpc/generic_methods.h"
#include "server/rpc/method.h"

namespace tconv::server {

template <typename Base>
using WithChainMethods = v1::ChainService::WithGenericMethod_CreateChain<
    v1::ChainService::WithGenericMethod_GetChain<v1::ChainService::WithGenericMethod_ListChains<
        v1::ChainService::WithGenericMethod_DeleteChain<Base>>>>;

// Decodes requests, asks the host, encodes its answers. Thread-safe.
class ChainServiceImpl final : public WithChainMethods<v1::ChainService::Service> {
 public:
  // Adds its methods to `generic`, which is to be registered with the same server as
  // this. All that is given must outlive that server.
  ChainServiceImpl(LayerHost& host, const ServiceContext& context, GenericMethods& generic);

 private:
  using Parts = RequestParts;

  // What the RPCs mean; their errors are in the .proto.
  StatusOr<v1::CreateChainResponse> DoCreateChain(const v1::CreateChainRequest& request,
                                                  const Parts& parts);
  StatusOr<v1::GetChainResponse> DoGetChain(const v1::GetChainRequest& request, const Parts&);
  StatusOr<v1::ListChainsResponse> DoListChains(const v1::ListChainsRequest& request,
                                                const Parts& parts);
  StatusOr<v1::DeleteChainResponse> DoDeleteChain(const v1::DeleteChainRequest& request,
                                                  const Parts&);

  LayerHost& host_;
};

}  // namespace tconv::server
