#include "server/store/tensor_row.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

constexpr std::string_view kKernel = "kernel";
constexpr std::string_view kBias = "bias";

std::optional<DType> ParseDType(std::string_view name) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    if (NameOf(dtype) == name) return dtype;
  }
  return std::nullopt;
}

// What ToString(Shape) writes.
std::optional<Shape> ParseShape(std::string_view text) {
  std::vector<int64_t> dims;
  for (size_t i = 0; i < text.size();) {
    int64_t dim = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), dim);
    if (error == std::errc()) dims.push_back(dim);
    i = std::max(i + 1, static_cast<size_t>(end - text.data()));
  }
  const StatusOr<Shape> shape = Shape::Make(dims);
  // Whatever else the text was, it is not what ToString() made of these dims.
  if (!shape.ok() || ToString(*shape) != text) return std::nullopt;
  return *shape;
}

StatusOr<Weights> AssembleTensors(
    const LayerRecord& record, const std::function<StatusOr<Tensor>(std::string_view role)>& read) {
  Weights weights;
  weights.version = record.weights_version;
  TCONV_ASSIGN_OR_RETURN(weights.kernel, read(kKernel));
  if (record.config.use_bias) {
    TCONV_ASSIGN_OR_RETURN(weights.bias, read(kBias));
  }
  return weights;
}

}  // namespace

Digest DigestOf(ConstTensorView tensor) {
  return DigestBuilder()
      .Add(NameOf(tensor.dtype))
      .Add(ToString(tensor.shape))
      .AddBytes(BytesOf(tensor))
      .Finish();
}

Status DamagedTensor(std::string_view role, std::string_view how) {
  return MakeError(StatusCode::kDataLoss, "{}: {}", role, how);
}

StatusOr<TensorRow> ParseTensorRow(std::string_view role, std::string_view dtype,
                                   std::string_view shape, ByteSpan digest) {
  const std::optional<DType> parsed_dtype = ParseDType(dtype);
  const std::optional<Shape> parsed_shape = ParseShape(shape);
  TensorRow row;
  if (!parsed_dtype.has_value() || !parsed_shape.has_value() ||
      digest.size() != row.digest.size()) {
    return DamagedTensor(role, "the stored description is unreadable");
  }
  row.dtype = *parsed_dtype;
  row.shape = *parsed_shape;
  std::ranges::copy(digest, row.digest.begin());
  return row;
}

StatusOr<Tensor> AllocateTensor(std::string_view role, const TensorRow& row, int64_t stored_bytes) {
  if (stored_bytes != ConstTensorView{row.dtype, row.shape}.size_bytes()) {
    return DamagedTensor(role, fmt::format("{} bytes stored for {} of {}", stored_bytes,
                                           ToString(row.shape), NameOf(row.dtype)));
  }
  return Tensor::Allocate(row.dtype, row.shape);
}

Status VerifyTensor(std::string_view role, const TensorRow& row, ConstTensorView tensor) {
  return DigestOf(tensor) == row.digest ? OkStatus() : DamagedTensor(role, "the digest differs");
}

Status ForEachTensor(
    const Weights& weights,
    const std::function<Status(std::string_view role, ConstTensorView tensor)>& insert) {
  TCONV_RETURN_IF_ERROR(insert(kKernel, weights.kernel.view()));
  return weights.bias.has_value() ? insert(kBias, weights.bias->view()) : OkStatus();
}

StatusOr<Weights> AssembleWeights(
    const LayerRecord& record, const std::function<StatusOr<Tensor>(std::string_view role)>& read) {
  if (record.weights_version == 0) return LayerNotBuilt(record.name);
  StatusOr<Weights> weights = AssembleTensors(record, read);
  if (weights.status().code() == StatusCode::kDataLoss) {
    return LayerDamaged(record.name, std::string(weights.status().message()));
  }
  return weights;
}

}  // namespace tconv::server
