// One way through a layer that learns, and back.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/base/cache_share.h"
#include "server/base/status.h"
#include "server/compute/differentiation.h"
#include "server/host/forward_job.h"
#include "server/layer/data_loss.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// The output, the losses and the gradients of a layer for one input. Used by one
// thread, once.
class TrainingPass {
 public:
  // `config`, and what the tools refer to, must outlive the pass; `problem` is that of
  // both with `weights`.
  TrainingPass(const ComputeTools& tools, const LayerConfig& config, const DeconvProblem& problem,
               std::shared_ptr<const Weights> weights, CacheShare share)
      : config_(config),
        problem_(problem),
        weights_(std::move(weights)),
        memory_(tools.memory),
        differentiation_(tools, problem, weights_, std::move(share)) {}

  // `src` is in the compute dtype. Unless `needs_output`, nobody asks for the output or
  // the loss, and it is left out where nothing else depends on it.
  Status RunForward(Tensor src, bool needs_output);

  // All of these REQUIRE RunForward().
  ConstTensorView output() const { return differentiation_.output(); }
  // The terms of layer.losses.
  std::vector<Loss> LayerLosses() const;
  // The loss of the output against `target`, which has its shape in the wide type, and
  // its derivative by the output.
  struct EvaluatedLoss {
    double value = 0;
    Tensor diff_output;
  };
  StatusOr<EvaluatedLoss> Evaluate(const DataLoss& loss, ConstTensorView target) const;

  // The gradients by dL/doutput, which is in the wide type and used up; with those of
  // LayerLosses() where these are included.
  StatusOr<Gradients> RunBackward(Tensor diff_output, const WantedGradients& wanted,
                                  bool include_losses);

  // Once all is computed.
  Tensor TakeSource() { return differentiation_.TakeSource(); }
  Tensor TakeOutput() { return differentiation_.TakeOutput(); }

 private:
  void AddActivityGradient(Tensor& diff_output) const;
  void AddWeightGradients(WeightTensors& gradients) const;

  const LayerConfig& config_;
  const DeconvProblem problem_;
  const std::shared_ptr<const Weights> weights_;
  BlockPool& memory_;
  Differentiation differentiation_;
};

}  // namespace tconv::server
