#include "client/cli/value_text.h"

#include <fmt/format.h>

namespace tconv::cli {
namespace {

std::string SourceOf(const v1::Loss& loss) {
  switch (loss.source()) {
    case v1::LOSS_SOURCE_ACTIVITY:
      return "activity";
    case v1::LOSS_SOURCE_KERNEL:
      return "kernel";
    case v1::LOSS_SOURCE_BIAS:
      return "bias";
    default:
      return "unknown";
  }
}

}  // namespace

std::string FormatKerasShape(const Shape& shape) {
  std::vector<std::string> extents;
  for (const int64_t extent : shape) {
    extents.push_back(extent < 0 ? "None" : std::to_string(extent));
  }
  return fmt::format("({})", fmt::join(extents, ", "));
}

std::string FormatTensor(const Tensor& tensor) {
  return fmt::format("{} {}", DataTypeName(tensor.dtype()), ToString(tensor.shape()));
}

Json DescribeTensor(const Tensor& tensor) {
  return {{"dtype", DataTypeName(tensor.dtype())}, {"shape", tensor.shape()}};
}

Json DescribeWeights(const Weights& weights) {
  return {{"kernel", DescribeTensor(weights.kernel)},
          {"bias", weights.bias ? DescribeTensor(*weights.bias) : Json()}};
}

Rows WeightRows(const Weights& weights, const std::string& prefix) {
  return {{prefix + "kernel", FormatTensor(weights.kernel)},
          {prefix + "bias", weights.bias ? FormatTensor(*weights.bias) : "none"}};
}

std::string FormatObject(const v1::KerasObject& object) {
  if (object.name().empty()) return "-";
  std::string text = object.name();
  const Json arguments = ToJson(object.arguments());
  for (const auto& [key, value] : arguments.items()) {
    if (!value.is_null()) text += fmt::format(" {}={}", key, Dump(value));
  }
  return text;
}

Json LossesToJson(const std::vector<v1::Loss>& losses) {
  Json json = Json::array();
  for (const v1::Loss& loss : losses) {
    json.push_back({{"source", SourceOf(loss)}, {"value", loss.value()}});
  }
  return json;
}

Rows LossRows(const std::vector<v1::Loss>& losses) {
  Rows rows;
  for (const v1::Loss& loss : losses) {
    rows.push_back({SourceOf(loss) + " loss", fmt::format("{}", loss.value())});
  }
  return rows;
}

}  // namespace tconv::cli
