// What the calls that train a layer take and answer.
#pragma once

#include <tconv/calls.h>
#include <tconv/options.h>
#include <tconv/tensor.h>
#include <tconv/v1/layer.pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tconv {

// Settings of Backward.
struct BackwardOptions {
  // Whether to differentiate the losses of the regularizers as well.
  bool include_losses = false;
  // As in ForwardOptions. With the version that Forward answered, both use the same
  // weights unless those have changed since: see BackwardResult::weights_version.
  int64_t min_version = 0;
  // What is not needed is not computed: the first for the first layer of a model,
  // the second for a layer that is frozen.
  bool skip_input_gradient = false;
  bool skip_weight_gradients = false;
  CallOptions call = {};
};

// The answer of Backward.
struct BackwardResult {
  // In the shape of the input and the compute dtype. Absent when skipped.
  std::optional<Tensor> input_gradient = {};
  // In the shapes of the weights and the variable dtype. Absent when skipped.
  std::optional<Weights> weight_gradients = {};
  // The version of the weights that were used.
  int64_t weights_version = 0;
  // When they are included: as in ForwardResult.
  std::vector<v1::Loss> losses = {};
  // Absent when the server does not tell.
  std::optional<ServerTiming> timing = {};
};

// Settings of ApplyGradients.
struct StepOptions {
  // When present, the step is made only if the weights are at this version.
  std::optional<int64_t> if_version = {};
  // For this step alone, in place of the optimizer's; > 0.
  std::optional<double> learning_rate = {};
  // Names the step, in at most 64 bytes, so that it is made once however often it is
  // asked for: the server knows the last 16 steps of a layer by their names. Empty:
  // the client makes a random one, and the call is repeated as RetryPolicy says. Give
  // one to ask again yourself, after DEADLINE_EXCEEDED or in another process.
  std::string step_id = {};
  CallOptions call = {};
};

// What a step of an optimizer has done.
struct StepResult {
  // Of the weights after the step.
  int64_t weights_version = 0;
  // Steps that have been made, this one included.
  int64_t iterations = 0;
  // Whether an earlier request of the same name had made the step.
  bool already_applied = false;
};

// What the output should be, and how its distance is measured.
struct TrainTarget {
  // In the shape of the output, of any floating-point type.
  Tensor target = {};
  // "MeanSquaredError", "MeanAbsoluteError", or "BinaryCrossentropy" with
  // "from_logits": true.
  v1::KerasObject loss = {};
};

// dL/doutput of a loss that the caller computes, in the shape of the output.
struct Upstream {
  Tensor gradient = {};
};

// What a step learns from.
using TrainSignal = std::variant<TrainTarget, Upstream>;

// Settings of TrainStep; the first ones as in StepOptions.
struct TrainStepOptions {
  std::optional<int64_t> if_version = {};
  std::optional<double> learning_rate = {};
  std::string step_id = {};
  // Whether to answer with the output, and with dL/dinput, from before the step.
  bool return_output = false;
  bool return_input_gradient = false;
  CallOptions call = {};
};

// The answer of TrainStep.
struct TrainStepResult {
  StepResult step = {};
  // The loss against the target, before the step. Absent with an Upstream.
  std::optional<double> loss = {};
  // The terms of layer.losses before the step, in Keras' order.
  std::vector<v1::Loss> losses = {};
  // When asked for, in the compute dtype. Absent when `step.already_applied`, for
  // the server does not keep them.
  std::optional<Tensor> output = {};
  std::optional<Tensor> input_gradient = {};
  // Absent when the server does not tell.
  std::optional<ServerTiming> timing = {};
};

// What an optimizer remembers of the gradients so far, in the shapes of the weights
// and the variable dtype. Which ones there are depends on the optimizer.
struct OptimizerSlots {
  std::optional<Weights> momentum = {};          // SGD and RMSprop with momentum, Adam, AdamW
  std::optional<Weights> velocity = {};          // Adam, AdamW, RMSprop
  std::optional<Weights> velocity_hat = {};      // Adam and AdamW with amsgrad
  std::optional<Weights> average_gradient = {};  // RMSprop that is centered
};

// What SetOptimizer sets.
struct NewOptimizer {
  // "SGD", "Adam", "AdamW" or "RMSprop" with the arguments of the Keras class, or the
  // JSON text of keras.optimizers.serialize(optimizer). Required.
  std::variant<v1::KerasObject, KerasJson> definition = {};
  // To go on where another optimizer stopped, as GetOptimizer answers both.
  int64_t iterations = 0;
  std::optional<OptimizerSlots> slots = {};
};

// An optimizer as the server holds it.
struct OptimizerStatus {
  // The class name, with every supported argument.
  v1::KerasObject optimizer = {};
  // The same as JSON that keras.optimizers.deserialize accepts.
  std::string keras_json = {};
  // Steps that have been made.
  int64_t iterations = 0;
  // None before the first step.
  OptimizerSlots slots = {};
  // Of the weights that this state belongs to.
  int64_t weights_version = 0;
};

}  // namespace tconv
