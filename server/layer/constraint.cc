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

// Elements that lie next to each other: all of one group, or each of the group after
// that of its neighbour.
struct Run {
  size_t begin;
  size_t size;
  size_t group;  // of the first element
  bool is_one_group;
};

// Calls visit(run) for every run of a tensor in row-major order, where a group is the
// elements that differ in the reduced axes alone.
template <typename Visit>
void ForEachRun(const Shape& shape, const AxisMask& reduced, Visit visit) {
  if (shape.num_elements() == 0) return;
  std::array<size_t, Shape::kMaxRank> group_stride{};
  size_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const auto i = static_cast<size_t>(axis);
    if (reduced[i]) continue;
    group_stride[i] = stride;
    stride *= static_cast<size_t>(shape[axis]);
  }
  // The last axes that are reduced, or not, together.
  const bool is_one_group = reduced[static_cast<size_t>(std::max(shape.rank() - 1, 0))];
  int outer_axes = shape.rank();
  size_t size = 1;
  while (outer_axes > 0 && reduced[static_cast<size_t>(outer_axes - 1)] == is_one_group) {
    size *= static_cast<size_t>(shape[--outer_axes]);
  }
  std::array<int64_t, Shape::kMaxRank> index{};
  size_t group = 0;
  const auto count = static_cast<size_t>(shape.num_elements());
  for (size_t begin = 0; begin < count; begin += size) {
    visit(Run{begin, size, group, is_one_group});
    for (int axis = outer_axes - 1; axis >= 0; --axis) {
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

// sums += the squares of the elements of each group.
template <typename T>
void AddSquares(std::span<const T> values, bool is_one_group, std::span<T> sums) {
  if (is_one_group) {
    T sum = sums[0];
    for (const T value : values) sum += value * value;
    sums[0] = sum;
  } else {
    for (size_t i = 0; i < values.size(); ++i) sums[i] += values[i] * values[i];
  }
}

template <typename T>
void Multiply(std::span<T> values, bool is_one_group, std::span<const T> factors) {
  if (is_one_group) {
    const T factor = factors[0];
    for (T& value : values) value *= factor;
  } else {
    for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i];
  }
}

// weight *= target(norm) / (epsilon + norm), for the norm of each group.
template <typename T, typename Target>
void RescaleIn(TensorView weight, const AxisMask& reduced, Target target) {
  const std::span<T> values = weight.values<T>();
  std::vector<T> factors(NumGroups(weight.shape, reduced));
  const auto elements_of = [&](const Run& run) { return values.subspan(run.begin, run.size); };
  const auto factors_of = [&](const Run& run) {
    return std::span(factors).subspan(run.group, run.is_one_group ? 1 : run.size);
  };
  ForEachRun(weight.shape, reduced, [&](const Run& run) {
    AddSquares<T>(elements_of(run), run.is_one_group, factors_of(run));
  });
  for (T& factor : factors) {
    const T norm = std::sqrt(factor);
    factor = static_cast<T>(target(static_cast<double>(norm))) / (static_cast<T>(kEpsilon) + norm);
  }
  ForEachRun(weight.shape, reduced, [&](const Run& run) {
    Multiply<T>(elements_of(run), run.is_one_group, factors_of(run));
  });
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
