// The optimizers of Keras 3.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/layer/layer_config.h"
#include "server/layer/object_spec.h"
#include "server/layer/weights.h"

namespace tconv::server {

// What an optimizer remembers of each weight.
enum class OptimizerSlot : uint8_t { kMomentum, kVelocity, kVelocityHat, kAverageGradient };

std::string_view NameOf(OptimizerSlot slot);  // "momentum", "velocity_hat", ...

using OptimizerSlots = std::map<OptimizerSlot, WeightTensors>;

// What an optimizer knows after some steps. The slots are in the variable dtype; none
// before the first step.
struct OptimizerState {
  int64_t iterations = 0;
  OptimizerSlots slots;
};

// A rule by which gradients change weights. A value.
class Optimizer {
 public:
  // INVALID_ARGUMENT, with the path of the argument, for unknown names and arguments,
  // for more than one kind of clipping, and for what Keras has and this has not:
  // schedules, averages of the weights, loss scaling, accumulation of gradients.
  // "name" is dropped.
  static StatusOr<Optimizer> Make(const ObjectSpec& spec);

  // Class name, with every argument present.
  const ObjectSpec& spec() const { return spec_; }

  // Whether `state` can be that of this optimizer for weights of these shapes and
  // type. INVALID_ARGUMENT about `iterations` or `slots.<kind>.<kernel or bias>`.
  Status CheckState(const OptimizerState& state, const Weights& weights) const;

  // `state` with its slots in the type of the weights. Errors of CheckState(), which
  // holds afterwards; RESOURCE_EXHAUSTED without memory.
  StatusOr<OptimizerState> AdoptState(OptimizerState state, const Weights& weights) const;

  // One step, in the order of Keras: gradients are clipped, weights decay, the rule
  // is applied, then the constraints of `config`; the iterations are counted up.
  // Computed in the variable dtype; in float32, and rounded once, where that has 16
  // bits. `learning_rate` takes the place of the optimizer's for this step.
  // `gradients` are used up. Takes one thread, and one pass over the memory of all that
  // changes; one more over the gradients to clip them by norms. RESOURCE_EXHAUSTED
  // without memory; then nothing but zeros among the slots has changed.
  // REQUIRES: gradients and weights are of `config`; CheckState(); nobody else uses
  // the weights.
  Status Step(const LayerConfig& config, WeightTensors gradients,
              std::optional<double> learning_rate, Weights& weights, OptimizerState& state) const;

  friend bool operator==(const Optimizer& a, const Optimizer& b) { return a.spec_ == b.spec_; }

 private:
  struct Rule;

  Optimizer(const Rule* rule, ObjectSpec spec) : rule_(rule), spec_(std::move(spec)) {}
  static const std::vector<Rule>& Rules();

  const Rule* rule_;
  ObjectSpec spec_;
};

}  // namespace tconv::server
