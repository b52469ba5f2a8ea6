// How far the training of a layer is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/layer/optimizer.h"

namespace tconv::server {

// A step of training that was made, and what its caller was told of it.
struct StepRecord {
  std::string step_id;
  int64_t weights_version = 0;  // after the step
  int64_t iterations = 0;       // likewise
  // Both from before the step.
  std::optional<double> loss = {};        // against the target, if there was one
  std::vector<double> layer_losses = {};  // in Keras' order
};

struct TrainingState {
  static constexpr size_t kMostSteps = 16;

  OptimizerState optimizer;
  std::vector<StepRecord> steps = {};  // the last of those that have an id, oldest first

  // Null: it is not among the last steps.
  const StepRecord* FindStep(std::string_view step_id) const;
  // Forgets the oldest step for it when there are kMostSteps.
  void AddStep(StepRecord step);

  int64_t size_bytes() const;
};

// RESOURCE_EXHAUSTED without memory.
StatusOr<TrainingState> CopyOf(const TrainingState& state);

}  // namespace tconv::server
