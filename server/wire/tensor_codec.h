// v1::Tensor and the tensors of the server, both ways.
#pragma once

#include <tconv/v1/layer.pb.h>
#include <tconv/v1/tensor.pb.h>

#include "server/base/status.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// A view of the message's own bytes, valid while the message lives and does not
// change. Its data may be unaligned for its type (short strings lie inside
// their object): read it through Convert() unless alignment is known.
// INVALID_ARGUMENT about `dtype`, `shape` or `data`.
StatusOr<ConstTensorView> ViewOf(const v1::Tensor& tensor);

// Replaces the content of `out` by a copy of the elements.
void ToProto(ConstTensorView tensor, v1::Tensor* out);
void ToProto(const Weights& weights, v1::Weights* out);

}  // namespace tconv::server
