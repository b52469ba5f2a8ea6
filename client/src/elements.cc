#include "client/src/elements.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace tconv {
namespace {

class TensorSource final : public ElementSource {
 public:
  TensorSource(std::vector<OrderedTensor> tensors, std::shared_ptr<MemoryPool> memory)
      : tensors_(std::move(tensors)), memory_(std::move(memory)) {
    SkipEmptyTensors();
  }

  void Restart() override {
    current_ = offset_ = 0;
    SkipEmptyTensors();
  }

  bool HasMore() const override { return current_ < tensors_.size(); }

  absl::StatusOr<codec::Payload> Next() override {
    const auto& [tensor, order] = tensors_[current_];
    const size_t bytes = std::min(codec::kChunkBytes, tensor.bytes().size() - offset_);
    if (order.Reorders()) return Gather(bytes);
    const auto* const data = reinterpret_cast<const std::byte*>(tensor.bytes().data()) + offset_;
    const auto owner = tensor.owner();
    Advance(bytes);
    return codec::Payload{owner, data, bytes};
  }

 private:
  // Into memory of its own.
  absl::StatusOr<codec::Payload> Gather(size_t bytes) {
    auto chunk = memory_->Allocate(bytes);
    if (!chunk.ok()) return chunk.status();
    const auto& [tensor, order] = tensors_[current_];
    for (size_t done = 0; done < bytes;) {
      const StreamOrder::Run run = order.At(offset_ + done);
      const size_t part = std::min(run.bytes, bytes - done);
      std::memcpy(chunk->get() + done, tensor.bytes().data() + run.offset, part);
      done += part;
    }
    Advance(bytes);
    return codec::Payload{*chunk, chunk->get(), bytes};
  }

  void Advance(size_t bytes) {
    offset_ += bytes;
    SkipEmptyTensors();
  }

  // Goes on to the next tensor with elements that are left.
  void SkipEmptyTensors() {
    while (HasMore() && offset_ == tensors_[current_].tensor.bytes().size()) {
      ++current_;
      offset_ = 0;
    }
  }

  const std::vector<OrderedTensor> tensors_;
  const std::shared_ptr<MemoryPool> memory_;
  size_t current_ = 0;
  size_t offset_ = 0;  // in the stream of the current tensor
};

class CallerSource final : public ElementSource {
 public:
  CallerSource(const InputStream& input, size_t size_bytes, std::shared_ptr<MemoryPool> memory)
      : read_(input.read), size_bytes_(size_bytes), memory_(std::move(memory)) {}

  // Calls with such a source have one attempt.
  void Restart() override {}

  bool HasMore() const override { return done_ < size_bytes_; }

  absl::StatusOr<codec::Payload> Next() override {
    const size_t room = std::min(codec::kChunkBytes, size_bytes_ - done_);
    auto chunk = memory_->Allocate(room);
    if (!chunk.ok()) return chunk.status();
    const absl::StatusOr<size_t> bytes = read_({chunk->get(), room});
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0 || *bytes > room) {
      return absl::InvalidArgumentError(absl::StrCat("input.read: expected 1 to ", room,
                                                     " bytes after ", done_, " of ", size_bytes_,
                                                     ", got ", *bytes));
    }
    done_ += *bytes;
    return codec::Payload{*chunk, chunk->get(), *bytes};
  }

 private:
  const std::function<absl::StatusOr<size_t>(std::span<std::byte>)> read_;
  const size_t size_bytes_;
  const std::shared_ptr<MemoryPool> memory_;
  size_t done_ = 0;
};

class MemorySink final : public ElementSink {
 public:
  explicit MemorySink(std::vector<OrderedMemory> tensors) : tensors_(std::move(tensors)) {}

  absl::StatusOr<std::span<const std::byte>> Take(size_t bytes, const MoveTo& move_to) override {
    SkipFullTensors();
    const OrderedMemory& tensor = tensors_[current_];
    if (!tensor.order.Reorders() && bytes <= tensor.memory.size() - offset_) {
      std::byte* const place = tensor.memory.data() + offset_;
      move_to(place);
      offset_ += bytes;
      return std::span<const std::byte>(place, bytes);
    }
    scratch_.resize(bytes);
    move_to(scratch_.data());
    Scatter();
    return scratch_;
  }

 private:
  // From the scratch to as many tensors as it takes.
  void Scatter() {
    for (size_t done = 0; done < scratch_.size();) {
      SkipFullTensors();
      const OrderedMemory& tensor = tensors_[current_];
      const StreamOrder::Run run = tensor.order.At(offset_);
      const size_t part = std::min(run.bytes, scratch_.size() - done);
      std::memcpy(tensor.memory.data() + run.offset, scratch_.data() + done, part);
      done += part;
      offset_ += part;
    }
  }

  void SkipFullTensors() {
    while (offset_ == tensors_[current_].memory.size()) {
      ++current_;
      offset_ = 0;
    }
  }

  const std::vector<OrderedMemory> tensors_;
  size_t current_ = 0;
  size_t offset_ = 0;  // in the stream of the current tensor
  std::vector<std::byte> scratch_;
};

class CallerSink final : public ElementSink {
 public:
  CallerSink(TensorInfo info, OutputStream output)
      : info_(std::move(info)), output_(std::move(output)) {}

  absl::StatusOr<std::span<const std::byte>> Take(size_t bytes, const MoveTo& move_to) override {
    piece_.resize(bytes);
    move_to(piece_.data());
    if (absl::Status status = output_(info_, piece_); !status.ok()) return status;
    return piece_;
  }

 private:
  const TensorInfo info_;
  const OutputStream output_;
  std::vector<std::byte> piece_;
};

}  // namespace

std::unique_ptr<ElementSource> MakeSource(std::vector<OrderedTensor> tensors,
                                          std::shared_ptr<MemoryPool> memory) {
  return std::make_unique<TensorSource>(std::move(tensors), std::move(memory));
}

std::unique_ptr<ElementSource> MakeSource(const InputStream& input, size_t size_bytes,
                                          std::shared_ptr<MemoryPool> memory) {
  return std::make_unique<CallerSource>(input, size_bytes, std::move(memory));
}

std::unique_ptr<ElementSink> MakeSink(std::vector<OrderedMemory> tensors) {
  return std::make_unique<MemorySink>(std::move(tensors));
}

std::unique_ptr<ElementSink> MakeSink(TensorInfo info, OutputStream output) {
  return std::make_unique<CallerSink>(std::move(info), std::move(output));
}

}  // namespace tconv
