#include "server/compute/vector_form.h"

#include <utility>
#include <variant>

namespace tconv::server {
namespace {

float NumberOf(const ObjectSpec& spec, const char* argument) {
  return static_cast<float>(std::get<double>(spec.arguments.at(argument)));
}

}  // namespace

VectorForm VectorFormOf(const Activation& activation) {
  static constexpr std::pair<const char*, VectorActivation> kForms[] = {
      {"tanh", VectorActivation::kTanh},         {"sigmoid", VectorActivation::kSigmoid},
      {"silu", VectorActivation::kSilu},         {"selu", VectorActivation::kSelu},
      {"softplus", VectorActivation::kSoftplus}, {"exponential", VectorActivation::kExponential},
      {"mish", VectorActivation::kMish},
  };
  const ObjectSpec& spec = activation.spec();
  if (spec.name == "relu" && activation.HasDefaultArguments()) return {VectorActivation::kRelu};
  if (spec.name == "leaky_relu") {
    return {VectorActivation::kLeakyRelu, NumberOf(spec, "negative_slope")};
  }
  if (spec.name == "elu") return {VectorActivation::kElu, NumberOf(spec, "alpha")};
  if (spec.name == "gelu") {
    const bool is_approximate = std::get<bool>(spec.arguments.at("approximate"));
    return {is_approximate ? VectorActivation::kApproximateGelu : VectorActivation::kGelu};
  }
  for (const auto& [name, form] : kForms) {
    if (spec.name == name) return {form};
  }
  return {};
}

}  // namespace tconv::server
