#include <absl/strings/cord.h>
#include <absl/strings/str_cat.h>
#include <tconv/client.h>
#include <tconv/shared_memory.h>

#include <utility>

#include "client/src/segment_memory.h"

namespace tconv {
namespace {

using internal::Region;
using internal::SegmentMemory;

// Whether the server has certainly ended a call with this error: one that only
// servers make, or one with details, which travel at the end of a call.
bool HasServerEnded(const absl::Status& status) {
  bool has_details = false;
  status.ForEachPayload([&](absl::string_view, const absl::Cord&) { has_details = true; });
  return has_details || status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kNotFound ||
         status.code() == absl::StatusCode::kFailedPrecondition;
}

void SetRegion(const SegmentMemory::Call& call, size_t offset, v1::SharedRegion* region) {
  region->set_segment(call.segment());
  region->set_offset(static_cast<int64_t>(offset));
}

}  // namespace

SharedTensor::SharedTensor(SharedTensor&& other) noexcept { Swap(other); }

SharedTensor& SharedTensor::operator=(SharedTensor&& other) noexcept {
  SharedTensor taken(std::move(other));
  Swap(taken);
  return *this;
}

SharedTensor::~SharedTensor() {
  if (memory_ != nullptr) memory_->Return({offset(), room_bytes_});
}

void SharedTensor::Swap(SharedTensor& other) {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(room_bytes_, other.room_bytes_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(dtype_, other.dtype_);
  std::swap(shape_, other.shape_);
}

void SharedTensor::Forget() {
  memory_ = nullptr;
  *this = SharedTensor();
}

size_t SharedTensor::offset() const { return static_cast<size_t>(data_ - memory_->data()); }

absl::Status SharedTensor::CheckDtype(v1::DataType expected) const {
  if (dtype_ == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("dtype: expected ", DataTypeName(expected),
                                                 " elements, got ", DataTypeName(dtype_)));
}

absl::Status SharedTensor::SetContent(v1::DataType dtype, Shape shape) {
  const absl::StatusOr<size_t> bytes = SizeInBytes({dtype, shape});
  if (!bytes.ok()) return bytes.status();
  if (*bytes > room_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape: expected at most ", room_bytes_, " bytes, got ", ToString(shape)));
  }
  dtype_ = dtype;
  shape_ = std::move(shape);
  size_bytes_ = *bytes;
  return absl::OkStatus();
}

SharedMemory::SharedMemory(std::shared_ptr<SegmentMemory> memory) : memory_(std::move(memory)) {}

absl::StatusOr<SharedMemory> SharedMemory::Open(const std::string& socket_path, size_t size_bytes) {
  absl::StatusOr<std::shared_ptr<SegmentMemory>> memory =
      SegmentMemory::Open(socket_path, size_bytes);
  if (!memory.ok()) return memory.status();
  return SharedMemory(*std::move(memory));
}

absl::StatusOr<SharedTensor> SharedMemory::Allocate(v1::DataType dtype, Shape shape) const {
  const absl::StatusOr<size_t> bytes = SizeInBytes({dtype, shape});
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Region> region = memory_->Take(*bytes);
  if (!region.ok()) return region.status();
  SharedTensor tensor;
  tensor.memory_ = memory_;
  tensor.data_ = memory_->data() + region->offset;
  tensor.room_bytes_ = region->bytes;
  if (absl::Status set = tensor.SetContent(dtype, std::move(shape)); !set.ok()) return set;
  return tensor;
}

absl::StatusOr<SharedForwardResult> Client::Forward(const std::string& name,
                                                    const SharedTensor& input, SharedTensor& output,
                                                    const ForwardOptions& options) const {
  if (input.memory_ == nullptr || output.memory_ == nullptr) {
    return absl::InvalidArgumentError("expected tensors that SharedMemory has allocated");
  }
  absl::StatusOr<SegmentMemory::Call> reading = input.memory_->BeginCall();
  if (!reading.ok()) return reading.status();
  absl::StatusOr<SegmentMemory::Call> writing = output.memory_->BeginCall();
  if (!writing.ok()) return writing.status();

  v1::ForwardRequest request;
  request.set_name(name);
  request.set_compute_losses(options.compute_losses);
  request.set_min_version(options.min_version);
  request.mutable_input()->set_dtype(input.dtype());
  request.mutable_input()->mutable_shape()->Assign(input.shape().begin(), input.shape().end());
  SetRegion(*reading, input.offset(), request.mutable_input()->mutable_region());
  SetRegion(*writing, output.offset(), request.mutable_output()->mutable_region());
  request.mutable_output()->set_size_bytes(static_cast<int64_t>(output.room_bytes()));

  const absl::StatusOr<v1::ForwardResponse> response =
      connection_->ForwardShared(request, options.call);
  if (!response.ok()) {
    if (!HasServerEnded(response.status())) {
      writing->Abandon({output.offset(), output.room_bytes()});
      output.Forget();
    }
    return response.status();
  }
  if (!response->output().has_region()) {
    return absl::InternalError("output: the server has not put it into the shared memory");
  }
  const v1::Tensor& answer = response->output();
  absl::Status set =
      output.SetContent(answer.dtype(), {answer.shape().begin(), answer.shape().end()});
  if (!set.ok()) return absl::InternalError(absl::StrCat("output: ", set.message()));
  return SharedForwardResult{.weights_version = response->weights_version(),
                             .losses = {response->losses().begin(), response->losses().end()}};
}

}  // namespace tconv
