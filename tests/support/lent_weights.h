// Weights that exist, as they arrive at a host.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "server/layer/weights.h"
#include "server/tensor/tensor_source.h"

namespace tconv::testing {

// Lends weights, which it keeps, to one call.
class LentWeights {
 public:
  explicit LentWeights(std::shared_ptr<const server::Weights> weights)
      : weights_(std::move(weights)), kernel_(weights_->kernel.view()) {
    if (weights_->bias.has_value()) bias_.emplace(weights_->bias->view());
  }

  server::WeightsSource source() { return {&kernel_, bias_.has_value() ? &*bias_ : nullptr}; }

 private:
  const std::shared_ptr<const server::Weights> weights_;
  server::ViewSource kernel_;
  std::optional<server::ViewSource> bias_;
};

}  // namespace tconv::testing
