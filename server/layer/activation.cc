#include "server/layer/activation.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "server/layer/activation_table.h"
#include "server/layer/signature.h"

namespace tconv::server {
namespace {

using activation::Arguments;
using activation::Function;
using activation::Functions;

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

// The elements of a tensor as rows along one axis: element i of row (o, n) is at
// (o * length + i) * inner + n.
template <typename View>
class AxisRows {
 public:
  AxisRows(const View& tensor, int axis)
      : tensor_(tensor), length_(static_cast<size_t>(tensor.shape[axis])) {
    for (int i = axis + 1; i < tensor.shape.rank(); ++i) {
      inner_ *= static_cast<size_t>(tensor.shape[i]);
    }
  }

  size_t length() const { return length_; }
  size_t count() const { return static_cast<size_t>(tensor_.shape.num_elements()) / length_; }

  template <typename T>
  void Read(size_t row, std::span<T> values) const {
    const auto elements = tensor_.template values<T>().subspan(Begin(row));
    for (size_t i = 0; i < length_; ++i) values[i] = elements[i * inner_];
  }
  template <typename T>
  void Write(size_t row, std::span<const T> values) const {
    const auto elements = tensor_.template values<T>().subspan(Begin(row));
    for (size_t i = 0; i < length_; ++i) elements[i * inner_] = values[i];
  }

 private:
  size_t Begin(size_t row) const { return row / inner_ * length_ * inner_ + row % inner_; }

  const View tensor_;
  const size_t length_;
  size_t inner_ = 1;
};

template <typename T>
void ApplyToRows(const Function& function, ConstTensorView z, TensorView y, int axis) {
  const AxisRows z_rows(z, axis);
  const AxisRows y_rows(y, axis);
  std::vector<T> row(z_rows.length());
  const std::span<T> result = std::span(row).first(y_rows.length());
  for (size_t i = 0; i < z_rows.count(); ++i) {
    z_rows.Read(i, std::span(row));
    std::get<activation::RowForm<T>>(function.along_axis).apply(row, result);
    y_rows.Write(i, std::span<const T>(result));
  }
}

template <typename T>
void DifferentiateRows(const Function& function, ConstTensorView z, ConstTensorView diff_y,
                       TensorView diff_z, int axis) {
  const AxisRows z_rows(z, axis);
  const AxisRows diff_y_rows(diff_y, axis);
  const AxisRows diff_z_rows(diff_z, axis);
  std::vector<T> z_row(z_rows.length());
  std::vector<T> diff_y_row(diff_y_rows.length());
  std::vector<T> diff_z_row(z_rows.length());
  for (size_t i = 0; i < z_rows.count(); ++i) {
    z_rows.Read(i, std::span(z_row));
    diff_y_rows.Read(i, std::span(diff_y_row));
    std::get<activation::RowForm<T>>(function.along_axis)
        .differentiate(z_row, diff_y_row, diff_z_row);
    diff_z_rows.Write(i, std::span<const T>(diff_z_row));
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

bool Activation::is_elementwise() const { return state_->function->is_elementwise; }

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
  const auto& form = std::get<activation::ElementwiseForm<T>>(state_->function->elementwise);
  form.apply(state_->arguments, values);
}
template void Activation::ApplyElementwise(std::span<float> values) const;
template void Activation::ApplyElementwise(std::span<double> values) const;

template <typename T>
void Activation::DifferentiateElementwise(std::span<const T> z, std::span<T> gradient) const {
  assert(is_elementwise() && z.size() == gradient.size());
  if (is_linear()) return;
  const auto& form = std::get<activation::ElementwiseForm<T>>(state_->function->elementwise);
  form.differentiate(state_->arguments, z, gradient);
}
template void Activation::DifferentiateElementwise(std::span<const float> z,
                                                   std::span<float> gradient) const;
template void Activation::DifferentiateElementwise(std::span<const double> z,
                                                   std::span<double> gradient) const;

void Activation::ApplyAlongAxis(ConstTensorView z, TensorView y) const {
  assert(!is_elementwise());
  if (z.shape.num_elements() == 0) return;
  const StatusOr<int> axis = AxisOf(z.shape.rank());
  assert(axis.ok());
  const auto apply = z.dtype == DType::kFloat32 ? &ApplyToRows<float> : &ApplyToRows<double>;
  apply(*state_->function, z, y, *axis);
}

void Activation::DifferentiateAlongAxis(ConstTensorView z, ConstTensorView diff_y,
                                        TensorView diff_z) const {
  assert(!is_elementwise());
  if (z.shape.num_elements() == 0) return;
  const StatusOr<int> axis = AxisOf(z.shape.rank());
  assert(axis.ok());
  const auto differentiate =
      z.dtype == DType::kFloat32 ? &DifferentiateRows<float> : &DifferentiateRows<double>;
  differentiate(*state_->function, z, diff_y, diff_z, *axis);
}

}  // namespace tconv::server
