// A ChainService that keeps what it is asked, and answers what a test prepares.
#pragma once

#include <grpcpp/grpcpp.h>
#include <tconv/v1/chain.grpc.pb.h>

#include "tests/unit/client/fake_call.h"

namespace tconv::testing {

class FakeChainService final : public v1::ChainService::Service {
 public:
  FakeCall<v1::CreateChainRequest, v1::CreateChainResponse> create_chain;
  FakeCall<v1::GetChainRequest, v1::GetChainResponse> get_chain;
  FakeCall<v1::ListChainsRequest, v1::ListChainsResponse> list_chains;
  FakeCall<v1::DeleteChainRequest, v1::DeleteChainResponse> delete_chain;

  grpc::Status CreateChain(grpc::ServerContext* context, const v1::CreateChainRequest* request,
                           v1::CreateChainResponse* response) override {
    return create_chain.Handle(context, request, response);
  }
  grpc::Status GetChain(grpc::ServerContext* context, const v1::GetChainRequest* request,
                        v1::GetChainResponse* response) override {
    return get_chain.Handle(context, request, response);
  }
  grpc::Status ListChains(grpc::ServerContext* context, const v1::ListChainsRequest* request,
                          v1::ListChainsResponse* response) override {
    return list_chains.Handle(context, request, response);
  }
  grpc::Status DeleteChain(grpc::ServerContext* context, const v1::DeleteChainRequest* request,
                           v1::DeleteChainResponse* response) override {
    return delete_chain.Handle(context, request, response);
  }
};

}  // namespace tconv::testing
