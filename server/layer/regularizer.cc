#include "server/layer/regularizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "server/layer/signature.h"

namespace tconv::server {

void PenaltySums::Add(ConstTensorView part) {
  std::array<double, 1024> chunk;
  const int64_t count = part.shape.num_elements();
  const int64_t element_bytes = static_cast<int64_t>(SizeOf(part.dtype));
  for (int64_t begin = 0; begin < count; begin += std::ssize(chunk)) {
    const int64_t size = std::min<int64_t>(std::ssize(chunk), count - begin);
    Convert({part.dtype, {size}, part.data + begin * element_bytes},
            {DType::kFloat64, {size}, reinterpret_cast<std::byte*>(chunk.data())});
    for (const double value : std::span(chunk).first(static_cast<size_t>(size))) {
      absolute_ += std::abs(value);
      squares_ += value * value;
    }
  }
}

struct Regularizer::Row {
  Signature signature;
  double (*penalty)(const ObjectSpec& spec, const PenaltySums& sums);
};

const std::vector<Regularizer::Row>& Regularizer::Rows() {
  static const auto& rows = *new std::vector<Row>{
      {{"L1", {"l1"}, {{"l1", 0.01, kNonNegative}}},
       [](const ObjectSpec& spec, const PenaltySums& sums) {
         return NumberArgument(spec, "l1") * sums.absolute();
       }},
      {{"L2", {"l2"}, {{"l2", 0.01, kNonNegative}}},
       [](const ObjectSpec& spec, const PenaltySums& sums) {
         return NumberArgument(spec, "l2") * sums.squares();
       }},
      {{"L1L2", {"l1l2", "l1_l2"}, {{"l1", 0.0, kNonNegative}, {"l2", 0.0, kNonNegative}}},
       [](const ObjectSpec& spec, const PenaltySums& sums) {
         // A factor of zero removes its term here, even one that is infinite.
         const double l1 = NumberArgument(spec, "l1");
         const double l2 = NumberArgument(spec, "l2");
         return (l1 == 0 ? 0 : l1 * sums.absolute()) + (l2 == 0 ? 0 : l2 * sums.squares());
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

double Regularizer::Penalty(const PenaltySums& sums) const { return row_->penalty(spec_, sums); }

}  // namespace tconv::server
