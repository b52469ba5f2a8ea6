#include "server/layer/optimizer.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <tuple>

#include "server/layer/optimizer_rules.h"
#include "server/layer/optimizer_variables.h"
#include "server/layer/signature.h"

namespace tconv::server {
namespace {

using optimizer::Preparation;
using optimizer::StepVariable;
using optimizer::Variable;

// Iterations are exact in every number that they become.
constexpr int64_t kMaxIterations = int64_t{1} << 53;

const ArgumentCheck kLearningRate = {
    "a number >= 0; schedules are not supported",
    [](const ArgumentValue& value) { return kNonNegative.accepts(value); }};

bool IsFalse(const ArgumentValue& value) { return value == ArgumentValue(false); }
bool IsNull(const ArgumentValue& value) { return value == ArgumentValue(); }

// Arguments that Keras has and that have one possible value here.
const std::vector<Parameter>& FixedParameters() {
  static const auto& parameters = *new std::vector<Parameter>{
      {"use_ema", false, {"false: averages of weights are not supported", IsFalse}},
      {"ema_momentum",
       0.99,
       {"0.99: averages of weights are not supported",
        [](const ArgumentValue& value) { return value == ArgumentValue(0.99); }}},
      {"ema_overwrite_frequency", kNull, {"null: averages of weights are not supported", IsNull}},
      {"loss_scale_factor", kNull, {"null: scaling of losses is not supported", IsNull}},
      {"gradient_accumulation_steps",
       kNull,
       {"null: accumulation of gradients is not supported", IsNull}},
  };
  return parameters;
}

// The arguments that all have, and those of one optimizer.
std::vector<Parameter> ParametersOf(double learning_rate, Parameter weight_decay,
                                    std::vector<Parameter> own) {
  std::vector<Parameter> parameters = {{"learning_rate", learning_rate, kLearningRate},
                                       std::move(weight_decay),
                                       {"clipnorm", kNull, kNonNegativeOrNull},
                                       {"global_clipnorm", kNull, kNonNegativeOrNull},
                                       {"clipvalue", kNull, kNonNegativeOrNull}};
  parameters.insert(parameters.end(), own.begin(), own.end());
  parameters.insert(parameters.end(), FixedParameters().begin(), FixedParameters().end());
  return parameters;
}

Parameter NoWeightDecay() { return {"weight_decay", kNull, kNonNegativeOrNull}; }

std::vector<Parameter> AdamParameters(Parameter weight_decay) {
  return ParametersOf(0.001, std::move(weight_decay),
                      {{"beta_1", 0.9, kFraction},
                       {"beta_2", 0.999, kFraction},
                       {"epsilon", 1e-7, kNonNegative},
                       {"amsgrad", false, kBoolean}});
}

bool BooleanArgument(const ObjectSpec& spec, const std::string& key) {
  return std::get<bool>(spec.arguments.at(key));
}

// Nothing for null, and for zero, which Keras takes for null.
std::optional<double> ClippingArgument(const ObjectSpec& spec, const std::string& key) {
  const double* value = std::get_if<double>(&spec.arguments.at(key));
  return value == nullptr || *value == 0 ? std::nullopt : std::optional(*value);
}

std::vector<OptimizerSlot> SgdSlots(const ObjectSpec& spec) {
  if (NumberArgument(spec, "momentum") == 0) return {};
  return {OptimizerSlot::kMomentum};
}

std::vector<OptimizerSlot> AdamSlots(const ObjectSpec& spec) {
  std::vector<OptimizerSlot> slots = {OptimizerSlot::kMomentum, OptimizerSlot::kVelocity};
  if (BooleanArgument(spec, "amsgrad")) slots.push_back(OptimizerSlot::kVelocityHat);
  return slots;
}

std::vector<OptimizerSlot> RmspropSlots(const ObjectSpec& spec) {
  std::vector<OptimizerSlot> slots = {OptimizerSlot::kVelocity};
  if (NumberArgument(spec, "momentum") > 0) slots.push_back(OptimizerSlot::kMomentum);
  if (BooleanArgument(spec, "centered")) slots.push_back(OptimizerSlot::kAverageGradient);
  return slots;
}

template <typename T>
void ApplySgd(const ObjectSpec& spec, int64_t, const Preparation<T>& preparation,
              const Variable<T>& variable) {
  optimizer::Sgd(variable, preparation, static_cast<T>(NumberArgument(spec, "momentum")),
                 BooleanArgument(spec, "nesterov"));
}

template <typename T>
void ApplyAdam(const ObjectSpec& spec, int64_t iteration, const Preparation<T>& preparation,
               const Variable<T>& variable) {
  const double beta_1 = NumberArgument(spec, "beta_1");
  const double beta_2 = NumberArgument(spec, "beta_2");
  const auto t = static_cast<T>(iteration);
  const T power_1 = std::pow(static_cast<T>(beta_1), t);
  const T power_2 = std::pow(static_cast<T>(beta_2), t);
  optimizer::Adam(variable, preparation,
                  {.one_minus_beta_1 = static_cast<T>(1 - beta_1),
                   .one_minus_beta_2 = static_cast<T>(1 - beta_2),
                   .alpha = preparation.learning_rate * std::sqrt(1 - power_2) / (1 - power_1),
                   .epsilon = static_cast<T>(NumberArgument(spec, "epsilon"))},
                  BooleanArgument(spec, "amsgrad"));
}

template <typename T>
void ApplyRmsprop(const ObjectSpec& spec, int64_t, const Preparation<T>& preparation,
                  const Variable<T>& variable) {
  const double rho = NumberArgument(spec, "rho");
  optimizer::Rmsprop(variable, preparation,
                     {.rho = static_cast<T>(rho),
                      .one_minus_rho = static_cast<T>(1 - rho),
                      .momentum = static_cast<T>(NumberArgument(spec, "momentum")),
                      .epsilon = static_cast<T>(NumberArgument(spec, "epsilon"))},
                     BooleanArgument(spec, "centered"));
}

template <typename T>
using Variables = std::vector<Variable<T>>;

template <typename T>
T NormOf(const Variables<T>& variables) {
  double sum = 0;
  for (const Variable<T>& variable : variables) sum += optimizer::SumOfSquares(variable.gradient);
  return static_cast<T>(std::sqrt(sum));
}

// The step's preparation for each variable.
template <typename T>
std::vector<Preparation<T>> Prepare(const ObjectSpec& spec, double learning_rate,
                                    const Variables<T>& variables) {
  Preparation<T> common;
  common.learning_rate = static_cast<T>(learning_rate);
  if (const double* decay = std::get_if<double>(&spec.arguments.at("weight_decay"))) {
    common.decays = true;
    common.weight_decay = static_cast<T>(*decay);
  }
  if (const auto clip = ClippingArgument(spec, "clipvalue")) common.bound = static_cast<T>(*clip);
  if (const auto clip = ClippingArgument(spec, "global_clipnorm")) {
    const auto limit = static_cast<T>(*clip);
    const T norm = NormOf(variables);
    // The difference is 0, except that an infinite norm makes every gradient NaN.
    common.factor = limit * std::min(1 / norm, 1 / limit) + (norm - norm);
  }
  std::vector<Preparation<T>> preparations(variables.size(), common);
  if (const auto clip = ClippingArgument(spec, "clipnorm")) {
    const auto limit = static_cast<T>(*clip);
    for (size_t i = 0; i < variables.size(); ++i) {
      preparations[i].factor = limit;
      preparations[i].divisor = optimizer::Greater(NormOf<T>({variables[i]}), limit);
    }
  }
  return preparations;
}

Status CheckSlot(const std::string& field, const Tensor& weight, const Tensor& slot) {
  if (slot.dtype() == weight.dtype() && slot.shape() == weight.shape()) return OkStatus();
  return InvalidField(field, "expected {} {}, got {} {}", NameOf(weight.dtype()),
                      ToString(weight.shape()), NameOf(slot.dtype()), ToString(slot.shape()));
}

Status CheckSlot(const Weights& weights, const WeightTensors& slot) {
  TCONV_RETURN_IF_ERROR(CheckSlot("kernel", weights.kernel, slot.kernel));
  if (weights.bias.has_value() != slot.bias.has_value()) {
    return InvalidField("bias", "expected {}", weights.bias.has_value() ? "a tensor" : "nothing");
  }
  return slot.bias.has_value() ? CheckSlot("bias", *weights.bias, *slot.bias) : OkStatus();
}

}  // namespace

std::string_view NameOf(OptimizerSlot slot) {
  static constexpr std::string_view kNames[] = {"momentum", "velocity", "velocity_hat",
                                                "average_gradient"};
  return kNames[static_cast<size_t>(slot)];
}

struct Optimizer::Rule {
  template <typename T>
  using Apply = void (*)(const ObjectSpec& spec, int64_t iteration,
                         const Preparation<T>& preparation, const Variable<T>& variable);

  Signature signature;
  std::vector<OptimizerSlot> (*slots)(const ObjectSpec& spec);
  std::tuple<Apply<float>, Apply<double>> apply;

  // One step of all variables; `iteration` counts from 1.
  template <typename T>
  void Run(const ObjectSpec& spec, int64_t iteration, double learning_rate,
           std::vector<StepVariable>& working) const {
    Variables<T> variables;
    for (StepVariable& variable : working) variables.push_back(variable.View<T>());
    const std::vector<Preparation<T>> preparations = Prepare(spec, learning_rate, variables);
    for (size_t i = 0; i < variables.size(); ++i) {
      std::get<Apply<T>>(apply)(spec, iteration, preparations[i], variables[i]);
      working[i].Finish();
    }
  }
};

const std::vector<Optimizer::Rule>& Optimizer::Rules() {
  static const auto& rules = *new std::vector<Rule>{
      {{"SGD",
        {"sgd"},
        ParametersOf(0.01, NoWeightDecay(),
                     {{"momentum", 0.0, kFraction}, {"nesterov", false, kBoolean}})},
       SgdSlots,
       {ApplySgd<float>, ApplySgd<double>}},
      {{"Adam", {"adam"}, AdamParameters(NoWeightDecay())},
       AdamSlots,
       {ApplyAdam<float>, ApplyAdam<double>}},
      {{"AdamW", {"adamw"}, AdamParameters({"weight_decay", 0.004, kNonNegative})},
       AdamSlots,
       {ApplyAdam<float>, ApplyAdam<double>}},
      {{"RMSprop",
        {"rmsprop"},
        ParametersOf(0.001, NoWeightDecay(),
                     {{"rho", 0.9, kFraction},
                      {"momentum", 0.0, kFraction},
                      {"epsilon", 1e-7, kNonNegative},
                      {"centered", false, kBoolean}})},
       RmspropSlots,
       {ApplyRmsprop<float>, ApplyRmsprop<double>}},
  };
  return rules;
}

StatusOr<Optimizer> Optimizer::Make(const ObjectSpec& spec) {
  TCONV_ASSIGN_OR_RETURN(const Rule* rule, FindRow(Rules(), "an optimizer", spec.name));
  ObjectSpec given = spec;
  given.arguments.erase("name");
  TCONV_ASSIGN_OR_RETURN(ObjectSpec resolved, Resolve(rule->signature, given));
  for (const Parameter& fixed : FixedParameters()) {
    resolved.arguments.erase(std::string(fixed.name));
  }
  std::string first;
  for (const char* clipping : {"clipnorm", "global_clipnorm", "clipvalue"}) {
    if (IsNull(resolved.arguments.at(clipping))) continue;
    if (!first.empty()) {
      return InvalidField(fmt::format("arguments.{}", clipping),
                          "expected null beside {}: gradients are clipped in one way", first);
    }
    first = clipping;
  }
  return Optimizer(rule, std::move(resolved));
}

Status Optimizer::CheckState(const OptimizerState& state, const Weights& weights) const {
  if (state.iterations < 0 || state.iterations >= kMaxIterations) {
    return InvalidField("iterations", "expected 0 to 2^53 - 1, got {}", state.iterations);
  }
  if (state.slots.empty()) return OkStatus();
  const std::vector<OptimizerSlot> expected = rule_->slots(spec_);
  for (const OptimizerSlot kind : expected) {
    const std::string field = fmt::format("slots.{}", NameOf(kind));
    const auto slot = state.slots.find(kind);
    if (slot == state.slots.end()) return InvalidField(field, "expected tensors, got nothing");
    if (Status status = CheckSlot(weights, slot->second); !status.ok()) {
      return InField(field, status);
    }
  }
  for (const auto& [kind, slot] : state.slots) {
    if (std::count(expected.begin(), expected.end(), kind) > 0) continue;
    return InvalidField(fmt::format("slots.{}", NameOf(kind)),
                        "expected nothing: {} with these arguments does not use it", spec_.name);
  }
  return OkStatus();
}

StatusOr<OptimizerState> Optimizer::AdoptState(OptimizerState state, const Weights& weights) const {
  const DType dtype = weights.kernel.dtype();
  const auto adopt = [dtype](Tensor& tensor) -> Status {
    if (tensor.dtype() == dtype) return OkStatus();
    TCONV_ASSIGN_OR_RETURN(tensor, Tensor::Converted(tensor.view(), dtype));
    return OkStatus();
  };
  for (auto& [kind, slot] : state.slots) {
    TCONV_RETURN_IF_ERROR(adopt(slot.kernel));
    if (slot.bias.has_value()) TCONV_RETURN_IF_ERROR(adopt(*slot.bias));
  }
  TCONV_RETURN_IF_ERROR(CheckState(state, weights));
  return state;
}

Status Optimizer::Step(const LayerConfig& config, WeightTensors gradients,
                       std::optional<double> learning_rate, Weights& weights,
                       OptimizerState& state) const {
  assert(CheckState(state, weights).ok());
  if (state.slots.empty()) {
    TCONV_ASSIGN_OR_RETURN(state.slots, optimizer::ZeroSlots(rule_->slots(spec_), weights));
  }
  TCONV_ASSIGN_OR_RETURN(std::vector<StepVariable> variables,
                         optimizer::MakeVariables(config, weights, gradients, state.slots));
  const int64_t iteration = state.iterations + 1;
  // Keras keeps it as a float32 variable, whatever the type of the weights.
  const float rate =
      static_cast<float>(learning_rate.value_or(NumberArgument(spec_, "learning_rate")));
  if (weights.kernel.dtype() == DType::kFloat64) {
    rule_->Run<double>(spec_, iteration, static_cast<double>(rate), variables);
  } else {
    rule_->Run<float>(spec_, iteration, static_cast<double>(rate), variables);
  }
  state.iterations = iteration;
  return OkStatus();
}

}  // namespace tconv::server
