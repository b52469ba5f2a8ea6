// Weights as the tensors that every database keeps of them: which there are, how
// one is described beside its elements, and when it is damaged.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "server/base/status.h"
#include "server/layer/weights.h"
#include "server/store/bytes.h"
#include "server/store/digest.h"
#include "server/store/layer_store.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// One row of the table `tensor`.
struct TensorRow {
  DType dtype;
  Shape shape;
  Digest digest;  // of dtype, shape and elements
};

Digest DigestOf(ConstTensorView tensor);

// DATA_LOSS that names the tensor.
Status DamagedTensor(std::string_view role, std::string_view how);

// From what NameOf(DType) and ToString(Shape) wrote. DATA_LOSS.
StatusOr<TensorRow> ParseTensorRow(std::string_view role, std::string_view dtype,
                                   std::string_view shape, ByteSpan digest);

// Memory for the elements. DATA_LOSS, before any is taken, when there are not as
// many bytes stored as the row says.
StatusOr<Tensor> AllocateTensor(std::string_view role, const TensorRow& row, int64_t stored_bytes);

// DATA_LOSS when the elements are not those that were written.
Status VerifyTensor(std::string_view role, const TensorRow& row, ConstTensorView tensor);

// Gives every tensor to `insert`, up to its first error.
Status ForEachTensor(
    const Weights& weights,
    const std::function<Status(std::string_view role, ConstTensorView tensor)>& insert);

// The weights of a layer from what `read(role)` returns, a StatusOr<Tensor>.
// NOT_FOUND when the layer is not built; DATA_LOSS names it.
StatusOr<Weights> AssembleWeights(
    const LayerRecord& record, const std::function<StatusOr<Tensor>(std::string_view role)>& read);

}  // namespace tconv::server
