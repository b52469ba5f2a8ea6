// Memory that clients on the same host share with the server.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

struct SharedMemoryLimits {
  // Of all segments that are mapped.
  int64_t max_bytes = int64_t{4} << 30;
  size_t max_segments = 256;
};

// A client's memory, mapped for as long as this lives. The client may write to it
// at any time, so what is read twice may differ: read elements, never decisions.
class SharedSegment {
 public:
  // Takes over a mapping. `until_unmapped` is let go of after it.
  SharedSegment(std::byte* data, int64_t size_bytes, std::shared_ptr<const void> until_unmapped)
      : until_unmapped_(std::move(until_unmapped)), data_(data), size_bytes_(size_bytes) {}
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  int64_t size_bytes() const { return size_bytes_; }

  // `size_bytes` from `offset` on. INVALID_ARGUMENT about `offset` unless that is
  // a multiple of Tensor::kAlignment and all of it is within the segment.
  StatusOr<std::byte*> At(int64_t offset, int64_t size_bytes) const;

 private:
  const std::shared_ptr<const void> until_unmapped_;
  std::byte* const data_;
  const int64_t size_bytes_;
};

// Segments by name. A name cannot be guessed: who knows it may use the memory.
// Thread-safe.
class SharedMemory {
 public:
  explicit SharedMemory(const SharedMemoryLimits& limits) : limits_(limits) {}

  // Maps the whole memory behind a descriptor, which may be closed afterwards, and
  // returns the name of the new segment. `until_unmapped` is kept until the memory
  // is unmapped.
  // INVALID_ARGUMENT: it is not a memfd sealed against changes of its size and
  // against more seals, or it cannot be written to. RESOURCE_EXHAUSTED: a limit,
  // where removed segments count as long as calls use them.
  StatusOr<std::string> Add(int memory, std::shared_ptr<const void> until_unmapped);

  // From now on nobody finds the segment; those who have it keep it.
  void Remove(const std::string& name);

  // Of segments that are there or still used.
  int64_t mapped_bytes() const { return mapped_bytes_->load(std::memory_order_relaxed); }

  // NOT_FOUND.
  StatusOr<std::shared_ptr<const SharedSegment>> Find(const std::string& name) const;

 private:
  const SharedMemoryLimits limits_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const SharedSegment>> segments_
      TCONV_GUARDED_BY(mutex_);
  // Of all segments that live, which may be longer than this does.
  const std::shared_ptr<std::atomic<int64_t>> mapped_bytes_ =
      std::make_shared<std::atomic<int64_t>>(0);
};

// A tensor in a segment.
class SharedSource final : public TensorSource {
 public:
  // REQUIRES: `view` lies in `segment`, aligned to Tensor::kAlignment.
  SharedSource(ConstTensorView view, std::shared_ptr<const SharedSegment> segment)
      : segment_(std::move(segment)), view_(view) {}

  DType dtype() const override { return view_.dtype; }
  const Shape& shape() const override { return view_.shape; }
  const std::byte* InPlace() const override { return view_.data; }
  void MoveTo(std::byte* dst) override { ViewSource(view_).MoveTo(dst); }

 private:
  const std::shared_ptr<const SharedSegment> segment_;
  const ConstTensorView view_;
};

}  // namespace tconv::server
