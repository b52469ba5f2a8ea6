// Memory for the elements of tensors.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

namespace tconv {

// `bytes` at a multiple of 64, not initialized, on huge pages when there are
// many. RESOURCE_EXHAUSTED: there is no such memory.
absl::StatusOr<std::shared_ptr<std::byte>> AllocateMemory(size_t bytes);

// The same for large blocks that come and go: keeps some of those that were let
// go, because the first use of fresh pages takes longer than filling them again.
// Blocks may outlive the pool. Thread-safe.
class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  // Keeps at most `max_idle_bytes`, the blocks let go last.
  static std::shared_ptr<MemoryPool> Create(size_t max_idle_bytes) {
    return std::shared_ptr<MemoryPool>(new MemoryPool(max_idle_bytes));
  }

  // As AllocateMemory().
  absl::StatusOr<std::shared_ptr<std::byte>> Allocate(size_t bytes);

 private:
  struct Block {
    std::shared_ptr<std::byte> memory;
    size_t bytes = 0;
  };

  explicit MemoryPool(size_t max_idle_bytes) : max_idle_bytes_(max_idle_bytes) {}

  // An idle block for `bytes`; null memory if there is none that fits well.
  Block TakeIdle(size_t bytes);
  void Return(Block block);

  const size_t max_idle_bytes_;
  std::mutex mutex_;
  // Guarded by mutex_; the block that was let go last is at the end.
  std::list<Block> idle_;
  size_t idle_bytes_ = 0;
};

}  // namespace tconv
