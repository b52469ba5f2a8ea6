// Calls of Backward.
#pragma once

#include <tconv/v1/training.pb.h>

#include <string_view>
#include <utility>

#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/rpc/layer_info_codec.h"
#include "server/rpc/unary_call.h"

namespace tconv::server {

// One Backward, which waits for the version that it asks for as a Forward does. `host`
// must outlive it.
class BackwardCall final
    : public HandlerCall<v1::BackwardRequest, WithPayloads<v1::BackwardResponse>> {
 public:
  BackwardCall(const Method& method, LayerHost& host, Handler handler,
               grpc::GenericCallbackServerContext* context)
      : HandlerCall(method, std::move(handler), context), host_(host) {}

  std::string_view flow() const override { return request().name(); }
  bool computes() const override { return true; }

 private:
  Status Accept() override {
    TCONV_RETURN_IF_ERROR(HandlerCall::Accept());
    return CheckMinVersion(request().min_version());
  }
  void AskForTurn() override {
    host_.SubmitWithVersion(request().name(), request().min_version(), *this, queue());
  }
  void GiveUpTurn() override {
    if (!host_.AbandonWaiter(*this)) HandlerCall::GiveUpTurn();
  }

  LayerHost& host_;
};

}  // namespace tconv::server
