// The use cases of TrainingService: layers that learn.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/compute/differentiation.h"
#include "server/host/layer.h"
#include "server/host/layer_catalog.h"
#include "server/host/layer_quota.h"
#include "server/host/training_job.h"
#include "server/layer/geometry.h"
#include "server/layer/optimizer.h"
#include "server/layer/weights.h"

namespace tconv::server {

// Trains the layers of a catalog. The state of a training is in the store alone: a step
// reads it, and writes it with the weights as one change, which is compared with what
// was read. So steps follow each other whichever server makes them, and one that loses
// the race is computed anew. Nothing is locked while a step is computed.
//
// Thread-safe; steps of one layer that run at once make each other begin anew. Errors
// are those that tconv/v1/training.proto states for the RPC of the same name, with
// paths of the request's fields; UNAVAILABLE while the store is away.
class LayerTraining {
 public:
  // What it works with; all must outlive it.
  struct Parts {
    LayerCatalog& catalog;
    const LayerQuota& quota;
    ComputeTools tools;
  };

  // `max_output_bytes` bounds the tensors of one answer, and an output on the way.
  LayerTraining(const Parts& parts, int64_t max_output_bytes)
      : catalog_(parts.catalog),
        quota_(parts.quota),
        tools_(parts.tools),
        max_output_bytes_(max_output_bytes) {}

  // Both return the layer as it is now.
  StatusOr<std::shared_ptr<Layer>> SetTrainable(const std::string& name, bool trainable);
  // The steps that were made stay known by their names.
  StatusOr<std::shared_ptr<Layer>> SetOptimizer(const std::string& name, const Optimizer& optimizer,
                                                OptimizerState state);
  StatusOr<OptimizerInfo> GetOptimizer(const std::string& name);

  StatusOr<BackwardResult> Backward(const BackwardJob& job);
  StatusOr<StepOutcome> ApplyGradients(const StepTerms& terms, const WeightsSource& gradients);
  StatusOr<TrainStepResult> TrainStep(const TrainStepJob& job);

 private:
  class Lesson;

  // The gradients of a step, and the losses that they belong to.
  struct StepGradients {
    WeightTensors gradients;
    std::optional<double> loss = {};
    std::vector<double> layer_losses = {};
  };
  using GradientsOf = std::function<StatusOr<StepGradients>(const LayerConfig& config,
                                                            std::shared_ptr<const Weights>)>;
  struct MadeStep {
    StepRecord record;
    bool was_applied_before = false;
    std::chrono::nanoseconds read_time{0};

    StepOutcome outcome() const {
      return {record.weights_version, record.iterations, was_applied_before, read_time};
    }
  };

  // A step with the gradients that `gradients_of` finds for the newest weights; it is
  // asked again when others were faster.
  StatusOr<MadeStep> MakeStep(Layer& layer, const StepTerms& terms,
                              const GradientsOf& gradients_of);
  StatusOr<MadeStep> TryStep(Layer& layer, const StepTerms& terms, const GradientsOf& gradients_of);
  StatusOr<StepRecord> Advance(Layer& layer, LayerCatalog::Training& training, StepRecord record,
                               std::shared_ptr<Weights> weights);

  LayerCatalog& catalog_;
  const LayerQuota& quota_;
  const ComputeTools tools_;
  const int64_t max_output_bytes_;
};

}  // namespace tconv::server
