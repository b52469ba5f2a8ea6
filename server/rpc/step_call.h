// Calls that make a step of an optimizer.
#pragma once

#include <string>
#include <string_view>

#include "server/base/status.h"
#include "server/rpc/unary_call.h"

namespace tconv::server {

// Steps of a layer take turns apart from what else is asked of it, one at a time: each
// goes on from what the one before has stored, and none holds a thread until then. Nor
// does one hold the right to compute while it waits for the store: what it computes on
// the pool gets it there.
template <typename Request, typename Response>
class StepCall final : public HandlerCall<Request, Response> {
 public:
  using HandlerCall<Request, Response>::HandlerCall;

  std::string_view flow() const override { return flow_; }
  bool is_exclusive() const override { return true; }

 private:
  Status Accept() override {
    // No layer has such a name.
    flow_ = this->request().name() + "/steps";
    return HandlerCall<Request, Response>::Accept();
  }

  std::string flow_;
};

}  // namespace tconv::server
