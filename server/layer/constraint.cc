#include "server/layer/constraint.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "server/layer/signature.h"

namespace tconv::server {
namespace {

// Keras' global epsilon.
constexpr double kEpsilon = 1e-7;

Parameter Axis() { return {"axis", 0.0, kAxes}; }

// Which axes of a weight a norm is taken over.
using AxisMask = std::array<bool, Shape::kMaxRank>;

StatusOr<AxisMask> ReducedAxes(const ObjectSpec& spec, int rank) {
  AxisMask mask{};
  const std::optional<std::vector<int64_t>> axes = AxesArgument(spec, "axis");
  if (!axes.has_value()) {
    mask.fill(true);
    return mask;
  }
  for (const int64_t given : *axes) {
    TCONV_ASSIGN_OR_RETURN(const int axis, NormalizeAxis("axis", given, rank));
    bool& is_reduced = mask[static_cast<size_t>(axis)];
    if (is_reduced) {
      return InvalidField("arguments.axis", "expected each axis once, got {} again", given);
    }
    is_reduced = true;
  }
  return mask;
}

// Calls visit(element, group) for every element of a tensor in row-major order,
// where a group is the elements that differ in the reduced axes alone.
template <typename Visit>
void ForEachInGroups(const Shape& shape, const AxisMask& reduced, Visit visit) {
  std::array<size_t, Shape::kMaxRank> group_stride{};
  size_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const auto i = static_cast<size_t>(axis);
    if (reduced[i]) continue;
    group_stride[i] = stride;
    stride *= static_cast<size_t>(shape[axis]);
  }
  std::array<int64_t, Shape::kMaxRank> index{};
  size_t group = 0;
  for (size_t element = 0; element < static_cast<size_t>(shape.num_elements()); ++element) {
    visit(element, group);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      const auto i = static_cast<size_t>(axis);
      group += group_stride[i];
      if (++index[i] < shape[axis]) break;
      group -= group_stride[i] * static_cast<size_t>(shape[axis]);
      index[i] = 0;
    }
  }
}

size_t NumGroups(const Shape& shape, const AxisMask& reduced) {
  size_t groups = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<size_t>(axis)]) groups *= static_cast<size_t>(shape[axis]);
  }
  return groups;
}

// weight *= target(norm) / (epsilon + norm), for the norm of each group.
template <typename T, typename Target>
void RescaleIn(TensorView weight, const AxisMask& reduced, Target target) {
  const std::span<T> values = weight.values<T>();
  std::vector<T> factors(NumGroups(weight.shape, reduced));
  ForEachInGroups(weight.shape, reduced, [&](size_t element, size_t group) {
    factors[group] += values[element] * values[element];
  });
  for (T& factor : factors) {
    const T norm = std::sqrt(factor);
    factor = static_cast<T>(target(static_cast<double>(norm))) / (static_cast<T>(kEpsilon) + norm);
  }
  ForEachInGroups(weight.shape, reduced,
                  [&](size_t element, size_t group) { values[element] *= factors[group]; });
}

template <typename Target>
void Rescale(const ObjectSpec& spec, TensorView weight, Target target) {
  const StatusOr<AxisMask> reduced = ReducedAxes(spec, weight.shape.rank());
  assert(reduced.ok());
  if (weight.dtype == DType::kFloat32) {
    RescaleIn<float>(weight, *reduced, target);
  } else {
    RescaleIn<double>(weight, *reduced, target);
  }
}

template <typename T>
void ClearNegative(std::span<T> values) {
  for (T& value : values) value = value < 0 ? T{0} : value;
}

double ClipNorm(double norm, double low, double high) {
  return std::isnan(norm) ? norm : std::min(std::max(norm, low), high);
}

}  // namespace

struct Constraint::Row {
  Signature signature;
  void (*project)(const ObjectSpec& spec, TensorView weight);
};

const std::vector<Constraint::Row>& Constraint::Rows() {
  static const auto& rows = *new std::vector<Row>{
      {{"Constraint", {"constraint"}, {}}, [](const ObjectSpec&, TensorView) {}},
      {{"NonNeg", {"non_neg", "nonneg"}, {}},
       [](const ObjectSpec&, TensorView weight) {
         if (weight.dtype == DType::kFloat32) {
           ClearNegative(weight.values<float>());
         } else {
           ClearNegative(weight.values<double>());
         }
       }},
      {{"MaxNorm", {"max_norm", "maxnorm"}, {{"max_value", 2.0, kNumber}, Axis()}},
       [](const ObjectSpec& spec, TensorView weight) {
         Rescale(spec, weight, [max = NumberArgument(spec, "max_value")](double norm) {
           return ClipNorm(norm, 0, max);
         });
       }},
      {{"UnitNorm", {"unit_norm", "unitnorm"}, {Axis()}},
       [](const ObjectSpec& spec, TensorView weight) {
         Rescale(spec, weight, [](double) { return 1.0; });
       }},
      {{"MinMaxNorm",
        {"min_max_norm"},
        {{"min_value", 0.0, kNumber}, {"max_value", 1.0, kNumber}, {"rate", 1.0, kNumber}, Axis()}},
       [](const ObjectSpec& spec, TensorView weight) {
         Rescale(spec, weight,
                 [min = NumberArgument(spec, "min_value"), max = NumberArgument(spec, "max_value"),
                  rate = NumberArgument(spec, "rate")](double norm) {
                   return rate * ClipNorm(norm, min, max) + (1 - rate) * norm;
                 });
       }},
  };
  return rows;
}

StatusOr<Constraint> Constraint::Make(const ObjectSpec& spec) {
  if (spec.name == "RadialConstraint" || spec.name == "radial_constraint") {
    return InvalidField("name", "expected a constraint of Keras 3; it has no {}", spec.name);
  }
  TCONV_ASSIGN_OR_RETURN(const Row* row, FindRow(Rows(), "a constraint", spec.name));
  TCONV_ASSIGN_OR_RETURN(ObjectSpec resolved, Resolve(row->signature, spec));
  return Constraint(row, std::move(resolved));
}

Status Constraint::Accepts(int rank) const {
  if (spec_.arguments.count("axis") == 0) return OkStatus();
  return ReducedAxes(spec_, rank).status();
}

void Constraint::Project(TensorView weight) const { row_->project(spec_, weight); }

}  // namespace tconv::server
