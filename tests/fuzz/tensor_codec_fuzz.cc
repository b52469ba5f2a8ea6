// Any bytes as a v1.Tensor: the codec either refuses the message, or gives a
// view that has exactly the bytes it promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

// Stops the fuzzer, which then keeps the input.
void Check(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << what << "\n";
  std::abort();
}

void CheckMessage(const v1::Tensor& message) {
  const StatusOr<ConstTensorView> view = ViewOf(message);
  if (!view.ok()) {
    Check(view.status().code() == StatusCode::kInvalidArgument, "unexpected error");
    Check(!FieldOf(view.status()).empty(), "no field named");
    return;
  }
  Check(view->size_bytes() == static_cast<int64_t>(message.data().size()), "wrong size");
  Check(std::equal(message.shape().begin(), message.shape().end(), view->shape.dims().begin(),
                   view->shape.dims().end()),
        "wrong shape");

  v1::Tensor back;
  ToProto(*view, &back);
  Check(back.dtype() == message.dtype() && back.data() == message.data(), "not sent back as is");

  // Reads every element, aligned or not.
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    const StatusOr<Tensor> converted = Tensor::Converted(*view, dtype);
    Check(converted.ok() && converted->shape() == view->shape, "not converted");
    Check(dtype != view->dtype ||
              std::equal(view->data, view->data + view->size_bytes(), converted->view().data),
          "changed by a conversion to its own type");
  }
}

// The message again with as many bytes as its shape takes in some type, which
// chance rarely finds.
void CheckWithCompleteData(v1::Tensor message) {
  constexpr int64_t kMaxElements = 4096;
  const StatusOr<Shape> shape =
      Shape::Make({message.shape().data(), static_cast<size_t>(message.shape_size())});
  if (!shape.ok() || shape->num_elements() > kMaxElements) return;
  for (const int64_t element_bytes : {2, 4, 8}) {
    message.mutable_data()->resize(static_cast<size_t>(shape->num_elements() * element_bytes));
    CheckMessage(message);
  }
}

}  // namespace
}  // namespace tconv::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tconv::v1::Tensor message;
  if (message.ParseFromArray(data, static_cast<int>(size))) {
    tconv::server::CheckMessage(message);
    tconv::server::CheckWithCompleteData(message);
  }
  return 0;
}
