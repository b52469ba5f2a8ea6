#include "server/layer/activation.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/layer/activation_functions.h"
#include "server/layer/signature.h"

namespace tconv::server {
namespace {

using activation::Arguments;

template <typename T>
using ElementwiseFunction = void (*)(const Arguments<double>& arguments, std::span<T> values);
template <typename T>
using RowFunction = void (*)(std::span<const T> z, std::span<T> y);

// One activation: element-wise, or along an axis.
struct Function {
  Signature signature;
  ElementwiseFunction<float> elementwise_float = nullptr;
  ElementwiseFunction<double> elementwise_double = nullptr;
  RowFunction<float> row_float = nullptr;
  RowFunction<double> row_double = nullptr;
  bool halves_axis = false;
};

template <typename T, typename F>
void Map(const Arguments<double>& arguments, std::span<T> values) {
  Arguments<T> converted;
  std::transform(arguments.begin(), arguments.end(), converted.begin(),
                 [](double argument) { return static_cast<T>(argument); });
  for (T& value : values) value = F{}(value, converted);
}

// `F` maps (z, arguments) to f(z), in float and in double.
template <typename F>
Function Elementwise(std::string_view name, F, std::vector<Parameter> parameters = {},
                     std::vector<std::string_view> aliases = {}) {
  return {.signature = {name, std::move(aliases), std::move(parameters)},
          .elementwise_float = &Map<float, F>,
          .elementwise_double = &Map<double, F>};
}

Function AlongAxis(std::string_view name, RowFunction<float> row_float,
                   RowFunction<double> row_double, std::vector<std::string_view> aliases = {}) {
  return {.signature = {name, std::move(aliases), {{"axis", -1.0, kInteger}}},
          .row_float = row_float,
          .row_double = row_double};
}

Function Halving(Function function) {
  function.halves_axis = true;
  return function;
}

const std::vector<Function>& Functions() {
  using namespace activation;
  static const auto& functions = *new std::vector<Function>{
      Elementwise("linear", [](auto z, const auto&) { return z; }),
      Elementwise("relu", [](auto z, const auto& a) { return Relu(z, a[0], a[1], a[2]); },
                  {{"negative_slope", 0.0, kNumber, "alpha"},
                   {"max_value", kNull, kNonNegativeOrNull},
                   {"threshold", 0.0, kNumber}}),
      Elementwise("leaky_relu", [](auto z, const auto& a) { return z < 0 ? a[0] * z : z; },
                  {{"negative_slope", 0.2, kNumber, "alpha"}}),
      Elementwise("relu6", [](auto z, const auto&) { return Clip(z, 0, 6); }),
      Elementwise("elu", [](auto z, const auto& a) { return Elu(z, a[0]); },
                  {{"alpha", 1.0, kNumber}}),
      Elementwise("selu", [](auto z, const auto&) { return Selu(z); }),
      Elementwise("celu", [](auto z, const auto& a) { return Celu(z, a[0]); },
                  {{"alpha", 1.0, kNonZero}}),
      Elementwise("gelu",
                  [](auto z, const auto& a) { return a[0] != 0 ? ApproximateGelu(z) : Gelu(z); },
                  {{"approximate", false, kBoolean}}),
      Halving(AlongAxis("glu", &Glu<float>, &Glu<double>)),
      Elementwise("sigmoid", [](auto z, const auto&) { return Sigmoid(z); }),
      Elementwise("hard_sigmoid", [](auto z, const auto& a) { return HardSigmoid(z, a[0]); },
                  {{"slope", kHardSigmoidSlope, kPositive}}),
      Elementwise("log_sigmoid", [](auto z, const auto&) { return -Softplus(-z); }),
      Elementwise("sparse_sigmoid", [](auto z, const auto&) { return Clip((z + 1) / 2, 0, 1); }),
      Elementwise("silu", [](auto z, const auto&) { return z * Sigmoid(z); }, {}, {"swish"}),
      Elementwise("hard_silu",
                  [](auto z, const auto&) { return z * HardSigmoid(z, kHardSigmoidSlope); }, {},
                  {"hard_swish"}),
      Elementwise("tanh", [](auto z, const auto&) { return std::tanh(z); }),
      Elementwise("hard_tanh", [](auto z, const auto&) { return Clip(z, -1, 1); }),
      Elementwise("tanh_shrink", [](auto z, const auto&) { return z - std::tanh(z); }),
      Elementwise("soft_shrink", [](auto z, const auto& a) { return SoftShrink(z, a[0]); },
                  {{"threshold", 0.5, kNonNegative}}),
      Elementwise("hard_shrink",
                  [](auto z, const auto& a) { return std::abs(z) > a[0] ? z : Flat(z, 0); },
                  {{"threshold", 0.5, kNumber}}),
      Elementwise("threshold", [](auto z, const auto& a) { return z > a[0] ? z : Flat(z, a[1]); },
                  {{"threshold", std::nullopt, kNumber}, {"default_value", std::nullopt, kNumber}}),
      Elementwise("softplus", [](auto z, const auto&) { return Softplus(z); }),
      Elementwise("softsign", [](auto z, const auto&) { return z / (1 + std::abs(z)); }),
      Elementwise("squareplus",
                  [](auto z, const auto& a) { return (z + std::sqrt(z * z + a[0])) / 2; },
                  {{"b", 4.0, kNumber}}),
      Elementwise("sparse_plus", [](auto z, const auto&) { return SparsePlus(z); }),
      Elementwise("mish", [](auto z, const auto&) { return Mish(z); }),
      Elementwise("exponential", [](auto z, const auto&) { return std::exp(z); }),
      AlongAxis("softmax", &Softmax<float>, &Softmax<double>, {"softmax_v2"}),
      AlongAxis("log_softmax", &LogSoftmax<float>, &LogSoftmax<double>),
      AlongAxis("sparsemax", &Sparsemax<float>, &Sparsemax<double>),
  };
  return functions;
}

// A Keras layer that is a function with its own defaults and stricter checks.
struct LayerForm {
  std::string_view layer;
  Signature signature;  // named as the function
};

const std::vector<LayerForm>& LayerForms() {
  static const auto& forms = *new std::vector<LayerForm>{
      {"LeakyReLU", {"leaky_relu", {}, {{"negative_slope", 0.3, kNonNegative, "alpha"}}}},
      {"ReLU",
       {"relu",
        {},
        {{"negative_slope", 0.0, kNonNegative, "alpha"},
         {"max_value", kNull, kNonNegativeOrNull},
         {"threshold", 0.0, kNonNegative}}}},
      {"ELU", {"elu", {}, {{"alpha", 1.0, kNumber}}}},
      {"Softmax", {"softmax", {}, {{"axis", -1.0, kInteger}}}},
  };
  return forms;
}

constexpr std::string_view kActivationLayer = "Activation";

const ArgumentCheck kFunctionName = {"the name of a function", [](const ArgumentValue& value) {
                                       return std::holds_alternative<std::string>(value);
                                     }};

// The function that a layer stands for, with the layer's defaults.
StatusOr<ObjectSpec> FunctionOfLayer(ObjectSpec layer) {
  for (const char* bookkeeping : {"name", "trainable", "dtype"}) {
    layer.arguments.erase(bookkeeping);
  }
  if (layer.name == kActivationLayer) {
    const Signature signature{kActivationLayer, {}, {{"activation", std::nullopt, kFunctionName}}};
    TCONV_ASSIGN_OR_RETURN(const ObjectSpec resolved, Resolve(signature, layer));
    return ObjectSpec{TextArgument(resolved, "activation"), {}};
  }
  for (const LayerForm& form : LayerForms()) {
    if (form.layer == layer.name) return Resolve(form.signature, layer);
  }
  assert(false);
  return layer;
}

double ToNumber(const ArgumentValue& value) {
  if (const bool* boolean = std::get_if<bool>(&value)) return *boolean ? 1 : 0;
  if (const double* number = std::get_if<double>(&value)) return *number;
  return std::numeric_limits<double>::infinity();
}

// Elements of a tensor as rows along one axis: element i of row (o, n) is at
// (o * length + i) * inner + n.
template <typename T>
void ApplyToRows(RowFunction<T> function, ConstTensorView z, TensorView y, int axis) {
  const std::span<const T> z_values = z.values<T>();
  const std::span<T> y_values = y.values<T>();
  const auto extent = [](const Shape& shape, int begin, int end) {
    size_t product = 1;
    for (int i = begin; i < end; ++i) product *= static_cast<size_t>(shape[i]);
    return product;
  };
  const size_t outer = extent(z.shape, 0, axis);
  const size_t inner = extent(z.shape, axis + 1, z.shape.rank());
  const size_t z_length = static_cast<size_t>(z.shape[axis]);
  const size_t y_length = static_cast<size_t>(y.shape[axis]);

  std::vector<T> row(z_length);
  for (size_t o = 0; o < outer; ++o) {
    for (size_t n = 0; n < inner; ++n) {
      for (size_t i = 0; i < z_length; ++i) row[i] = z_values[(o * z_length + i) * inner + n];
      function(row, std::span<T>(row).first(y_length));
      for (size_t i = 0; i < y_length; ++i) y_values[(o * y_length + i) * inner + n] = row[i];
    }
  }
}

}  // namespace

struct Activation::State {
  ObjectSpec spec;
  const Function* function;
  Arguments<double> arguments;
};

Activation::Activation(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Activation::Activation() {
  static const auto& linear = *new auto(*MakeFunction({"linear", {}}));
  state_ = linear;
}

StatusOr<std::shared_ptr<const Activation::State>> Activation::MakeFunction(
    const ObjectSpec& spec) {
  TCONV_ASSIGN_OR_RETURN(const Function* function,
                         FindRow(Functions(), "an activation", spec.name));
  TCONV_ASSIGN_OR_RETURN(ObjectSpec resolved, Resolve(function->signature, spec));
  Arguments<double> arguments{};
  for (size_t i = 0; i < function->signature.parameters.size(); ++i) {
    const std::string key(function->signature.parameters[i].name);
    arguments[i] = ToNumber(resolved.arguments.at(key));
  }
  return std::make_shared<const State>(State{std::move(resolved), function, arguments});
}

StatusOr<Activation> Activation::Make(const ObjectSpec& spec) {
  if (spec.name == "PReLU") {
    return InvalidField("name", "expected an activation without weights, got \"PReLU\"");
  }
  ObjectSpec function = spec;
  if (IsLayerName(spec.name)) {
    TCONV_ASSIGN_OR_RETURN(function, FunctionOfLayer(spec));
  }
  StatusOr<std::shared_ptr<const State>> state = MakeFunction(function);
  if (!state.ok() && spec.name == kActivationLayer) {
    // The name that is wrong is an argument of the layer.
    return InvalidField("arguments.activation", "expected the name of a function, got \"{}\"",
                        function.name);
  }
  if (!state.ok()) return state.status();
  return Activation(*std::move(state));
}

bool Activation::IsLayerName(std::string_view name) {
  return name == kActivationLayer ||
         std::any_of(LayerForms().begin(), LayerForms().end(),
                     [&](const LayerForm& form) { return form.layer == name; });
}

const ObjectSpec& Activation::spec() const { return state_->spec; }

bool Activation::is_linear() const { return state_->spec.name == "linear"; }

bool Activation::is_elementwise() const { return state_->function->elementwise_float != nullptr; }

bool Activation::HasDefaultArguments() const {
  const StatusOr<ObjectSpec> defaults =
      Resolve(state_->function->signature, {state_->spec.name, {}});
  return defaults.ok() && *defaults == state_->spec;
}

std::optional<ObjectSpec> Activation::AsKerasLayer() const {
  for (const LayerForm& form : LayerForms()) {
    if (form.signature.name == state_->spec.name && Resolve(form.signature, state_->spec).ok()) {
      return ObjectSpec{std::string(form.layer), state_->spec.arguments};
    }
  }
  return std::nullopt;
}

StatusOr<int> Activation::AxisOf(int rank) const {
  assert(!is_elementwise());
  return NormalizeAxis("axis", static_cast<int64_t>(state_->arguments[0]), rank);
}

StatusOr<Shape> Activation::OutputShape(const Shape& z) const {
  if (is_elementwise()) return z;
  TCONV_ASSIGN_OR_RETURN(const int axis, AxisOf(z.rank()));
  if (!state_->function->halves_axis) return z;
  if (z[axis] % 2 != 0) {
    return InvalidField("name", "expected an even extent to halve on axis {}, got {}", axis,
                        ToString(z));
  }
  std::vector<int64_t> dims(z.dims().begin(), z.dims().end());
  dims[static_cast<size_t>(axis)] /= 2;
  return Shape::Make(dims);
}

template <typename T>
void Activation::ApplyElementwise(std::span<T> values) const {
  assert(is_elementwise());
  if (is_linear()) return;
  if constexpr (std::is_same_v<T, float>) {
    state_->function->elementwise_float(state_->arguments, values);
  } else {
    state_->function->elementwise_double(state_->arguments, values);
  }
}
template void Activation::ApplyElementwise(std::span<float> values) const;
template void Activation::ApplyElementwise(std::span<double> values) const;

void Activation::ApplyAlongAxis(ConstTensorView z, TensorView y) const {
  assert(!is_elementwise());
  if (z.shape.num_elements() == 0) return;
  const StatusOr<int> axis = AxisOf(z.shape.rank());
  assert(axis.ok());
  if (z.dtype == DType::kFloat32) {
    ApplyToRows(state_->function->row_float, z, y, *axis);
  } else {
    ApplyToRows(state_->function->row_double, z, y, *axis);
  }
}

}  // namespace tconv::server
