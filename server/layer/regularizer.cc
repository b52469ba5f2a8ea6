#include "server/layer/regularizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>

#include "server/layer/signature.h"

namespace tconv::server {
namespace {

// Elements of a tensor of any type as T, a piece at a time.
template <typename T>
class Chunk {
 public:
  static constexpr int64_t kMaxSize = 1024;

  // The elements from `begin` on.
  std::span<T> Load(ConstTensorView tensor, int64_t begin) {
    size_ = std::min(kMaxSize, tensor.shape.num_elements() - begin);
    const auto offset = begin * static_cast<int64_t>(SizeOf(tensor.dtype));
    Convert({tensor.dtype, {size_}, tensor.data + offset}, view());
    return view().template values<T>();
  }

  // Puts them back.
  void Store(TensorView tensor, int64_t begin) {
    const auto offset = begin * static_cast<int64_t>(SizeOf(tensor.dtype));
    Convert(view(), {tensor.dtype, {size_}, tensor.data + offset});
  }

 private:
  TensorView view() {
    return {DTypeOf<T>::value, {size_}, reinterpret_cast<std::byte*>(elements_.data())};
  }

  std::array<T, kMaxSize> elements_;
  int64_t size_ = 0;
};

// What a penalty is made of. A term that is absent contributes nothing, even where
// its sum is infinite.
struct Factors {
  std::optional<double> l1;
  std::optional<double> l2;
};

std::optional<double> UnlessZero(double factor) {
  return factor == 0 ? std::nullopt : std::optional(factor);
}

template <typename T>
void AddGradientIn(const Factors& factors, ConstTensorView weight, double scale,
                   TensorView gradient) {
  const auto slope = static_cast<T>(scale * factors.l1.value_or(0));
  const auto twice_l2 = static_cast<T>(scale * 2 * factors.l2.value_or(0));
  Chunk<T> weight_chunk;
  Chunk<T> gradient_chunk;
  for (int64_t begin = 0; begin < weight.shape.num_elements(); begin += Chunk<T>::kMaxSize) {
    const std::span<const T> w = weight_chunk.Load(weight, begin);
    const std::span<T> g = gradient_chunk.Load(gradient, begin);
    for (size_t i = 0; i < w.size(); ++i) {
      const T sign = static_cast<T>((w[i] > 0) - (w[i] < 0));
      g[i] += slope * sign + (factors.l2.has_value() ? twice_l2 * w[i] : T{0});
    }
    gradient_chunk.Store(gradient, begin);
  }
}

}  // namespace

void PenaltySums::Add(ConstTensorView part) {
  Chunk<double> chunk;
  for (int64_t begin = 0; begin < part.shape.num_elements(); begin += chunk.kMaxSize) {
    for (const double value : chunk.Load(part, begin)) {
      absolute_ += std::abs(value);
      squares_ += value * value;
    }
  }
}

struct Regularizer::Row {
  Signature signature;
  Factors (*factors)(const ObjectSpec& spec);
};

const std::vector<Regularizer::Row>& Regularizer::Rows() {
  static const auto& rows = *new std::vector<Row>{
      {{"L1", {"l1"}, {{"l1", 0.01, kNonNegative}}},
       [](const ObjectSpec& spec) {
         return Factors{.l1 = NumberArgument(spec, "l1"), .l2 = std::nullopt};
       }},
      {{"L2", {"l2"}, {{"l2", 0.01, kNonNegative}}},
       [](const ObjectSpec& spec) {
         return Factors{.l1 = std::nullopt, .l2 = NumberArgument(spec, "l2")};
       }},
      {{"L1L2", {"l1l2", "l1_l2"}, {{"l1", 0.0, kNonNegative}, {"l2", 0.0, kNonNegative}}},
       // Here, and only here, Keras leaves out the term of a factor of zero.
       [](const ObjectSpec& spec) {
         return Factors{.l1 = UnlessZero(NumberArgument(spec, "l1")),
                        .l2 = UnlessZero(NumberArgument(spec, "l2"))};
       }},
  };
  return rows;
}

StatusOr<Regularizer> Regularizer::Make(const ObjectSpec& spec) {
  if (spec.name == "OrthogonalRegularizer" || spec.name == "orthogonal_regularizer") {
    return InvalidField("name", "expected a regularizer of any tensor; {} takes matrices only",
                        spec.name);
  }
  TCONV_ASSIGN_OR_RETURN(const Row* row, FindRow(Rows(), "a regularizer", spec.name));
  ObjectSpec given = spec;
  std::erase_if(given.arguments, [](const auto& argument) {
    return std::holds_alternative<std::monostate>(argument.second);
  });
  if (spec.name == "l1_l2") given.arguments.insert({{"l1", 0.01}, {"l2", 0.01}});
  TCONV_ASSIGN_OR_RETURN(ObjectSpec resolved, Resolve(row->signature, given));
  return Regularizer(row, std::move(resolved));
}

double Regularizer::Penalty(ConstTensorView weight) const {
  PenaltySums sums;
  sums.Add(weight);
  return Penalty(sums);
}

double Regularizer::Penalty(const PenaltySums& sums) const {
  const Factors factors = row_->factors(spec_);
  return (factors.l1.has_value() ? *factors.l1 * sums.absolute() : 0) +
         (factors.l2.has_value() ? *factors.l2 * sums.squares() : 0);
}

void Regularizer::AddGradient(ConstTensorView weight, double scale, TensorView gradient) const {
  const auto add =
      gradient.dtype == DType::kFloat64 ? &AddGradientIn<double> : &AddGradientIn<float>;
  add(row_->factors(spec_), weight, scale, gradient);
}

}  // namespace tconv::server
