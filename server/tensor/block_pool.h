// Memory for tensors, and memory that is used again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

class BlockPool;

// Owns a stretch of memory, aligned to kAlignment; a large one lies on huge pages
// where the system has them. Movable. Not initialized.
class Block {
 public:
  static constexpr size_t kAlignment = 64;

  // No memory.
  Block() = default;
  // RESOURCE_EXHAUSTED when there is no memory.
  static StatusOr<Block> Allocate(size_t bytes);

  Block(Block&& other) noexcept { *this = std::move(other); }
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    std::swap(pool_, other.pool_);
    return *this;
  }
  // Returns the memory to the pool that it is from, if any.
  ~Block();

  std::byte* data() const { return data_; }

 private:
  friend class BlockPool;

  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
  std::shared_ptr<BlockPool> pool_;
};

// Keeps the memory of tensors that come and go with requests. Fresh pages cost
// several times what it costs to copy a tensor into pages that exist. Bounded:
// what was idle longest goes first, and nothing stays idle for long while others
// use the pool. Thread-safe. Blocks keep the pool alive.
class BlockPool : public std::enable_shared_from_this<BlockPool> {
 public:
  // Keeps at most `capacity_bytes` for later.
  static std::shared_ptr<BlockPool> Make(int64_t capacity_bytes) {
    return std::shared_ptr<BlockPool>(new BlockPool(capacity_bytes));
  }

  // As Block::Allocate(), from memory that is here where it fits.
  StatusOr<Block> Take(size_t bytes);

  int64_t idle_bytes() const;
  // Of blocks that are worth pooling and in use.
  int64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class Block;
  using Clock = std::chrono::steady_clock;

  struct IdleBlock {
    Block block;
    Clock::time_point since;
  };

  explicit BlockPool(int64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // An idle block for `bytes` that does not waste much; none has no memory.
  Block FindIdle(size_t bytes) TCONV_REQUIRES(mutex_);
  void Return(Block block);

  const int64_t capacity_bytes_;
  mutable Mutex mutex_;
  std::deque<IdleBlock> idle_ TCONV_GUARDED_BY(mutex_);  // longest idle first
  int64_t idle_bytes_ TCONV_GUARDED_BY(mutex_) = 0;
  std::atomic<int64_t> used_bytes_ = 0;
};

}  // namespace tconv::server
