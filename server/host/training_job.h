// What training asks of the host, and what comes of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/compute/differentiation.h"
#include "server/host/forward_job.h"
#include "server/layer/data_loss.h"
#include "server/layer/optimizer.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// Sources must outlive the job they are in.
struct BackwardJob {
  std::string layer = {};
  TensorSource* input = nullptr;
  TensorSource* upstream = nullptr;  // dL/doutput
  bool include_losses = false;
  int64_t min_version = 0;  // as in ForwardJob
  WantedGradients wanted = {};
};

struct BackwardResult {
  Gradients gradients;
  int64_t weights_version = 0;
  std::vector<Loss> losses;  // when they are included
};

// How a step is to be made.
struct StepTerms {
  std::string layer = {};
  std::optional<int64_t> if_version = {};
  std::string step_id = {};  // empty: none
  std::optional<double> learning_rate = {};
};

// What a step has made of the layer.
struct StepOutcome {
  int64_t weights_version = 0;
  int64_t iterations = 0;
  bool was_applied_before = false;  // by a request of the same step_id
  // To read the state that it is based on.
  std::chrono::nanoseconds read_time{0};
};

struct TrainStepJob {
  StepTerms terms = {};
  TensorSource* input = nullptr;
  // The target of the loss; without a loss dL/doutput.
  std::optional<DataLoss> loss = {};
  TensorSource* signal = nullptr;
  bool return_output = false;
  bool return_input_gradient = false;
};

// All but the outcome is from before the step.
struct TrainStepResult {
  StepOutcome outcome;
  std::optional<double> loss;
  std::vector<Loss> layer_losses;
  // In the compute dtype; absent unless asked for, and when the step was made before.
  std::optional<Tensor> output;
  std::optional<Tensor> input_gradient;
};

// An optimizer with its state.
struct OptimizerInfo {
  Optimizer optimizer;
  OptimizerState state;
  int64_t weights_version = 0;  // that the state belongs to
};

}  // namespace tconv::server
