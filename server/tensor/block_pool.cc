#include "server/tensor/block_pool.h"

#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tconv::server {
namespace {

// Of x86-64 and of most AArch64 systems. Where pages are larger, tensors are
// merely well aligned.
constexpr size_t kHugePageBytes = size_t{2} << 20;
// Below, the alignment costs more address space than huge pages save misses.
constexpr size_t kBytesWorthHugePages = 2 * kHugePageBytes;

// Below, the allocator of the process is as good as a pool.
constexpr size_t kBytesWorthPooling = size_t{64} << 10;
constexpr size_t kMaxIdleBlocks = 128;
constexpr auto kMaxIdleTime = std::chrono::seconds(30);

constexpr bool IsLarge(size_t bytes) { return bytes >= kBytesWorthHugePages; }

constexpr std::align_val_t AlignmentOf(size_t bytes) {
  return std::align_val_t{IsLarge(bytes) ? kHugePageBytes : Block::kAlignment};
}

// Asks for huge pages inside of [data, data + bytes): reading weights takes
// fewer translations, and the first write to a tensor fewer faults. Only whole
// ones, so that no memory is used beyond the tensor. They are a wish; a system
// that declines changes nothing but the speed.
void PreferHugePages([[maybe_unused]] std::byte* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(data, bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
#endif
}

}  // namespace

StatusOr<Block> Block::Allocate(size_t bytes) {
  Block block;
  block.data_ = static_cast<std::byte*>(::operator new[](bytes, AlignmentOf(bytes), std::nothrow));
  if (block.data_ == nullptr) {
    return MakeError(StatusCode::kResourceExhausted, "no memory for {} bytes", bytes);
  }
  block.capacity_ = bytes;
  if (IsLarge(bytes)) PreferHugePages(block.data_, bytes);
  return block;
}

Block::~Block() {
  if (data_ == nullptr) return;
  if (pool_ == nullptr) {
    ::operator delete[](data_, AlignmentOf(capacity_));
    return;
  }
  const std::shared_ptr<BlockPool> pool = std::move(pool_);
  pool->Return(std::move(*this));
}

StatusOr<Block> BlockPool::Take(size_t bytes) {
  if (bytes < kBytesWorthPooling) return Block::Allocate(bytes);
  Block block;
  {
    MutexLock lock(mutex_);
    block = FindIdle(bytes);
  }
  if (block.data() == nullptr) {
    TCONV_ASSIGN_OR_RETURN(block, Block::Allocate(bytes));
  }
  block.pool_ = shared_from_this();
  used_bytes_.fetch_add(static_cast<int64_t>(block.capacity_), std::memory_order_relaxed);
  return block;
}

Block BlockPool::FindIdle(size_t bytes) {
  auto best = idle_.end();
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    const size_t capacity = it->block.capacity_;
    if (capacity < bytes || capacity > bytes + bytes / 4) continue;
    if (best == idle_.end() || capacity < best->block.capacity_) best = it;
  }
  if (best == idle_.end()) return Block();
  Block block = std::move(best->block);
  idle_bytes_ -= static_cast<int64_t>(block.capacity_);
  idle_.erase(best);
  return block;
}

void BlockPool::Return(Block block) {
  used_bytes_.fetch_sub(static_cast<int64_t>(block.capacity_), std::memory_order_relaxed);
  const auto now = Clock::now();
  std::vector<Block> dropped;  // freed without the mutex, for that takes a while
  MutexLock lock(mutex_);
  idle_bytes_ += static_cast<int64_t>(block.capacity_);
  idle_.push_back({std::move(block), now});
  while (!idle_.empty() && (idle_bytes_ > capacity_bytes_ || idle_.size() > kMaxIdleBlocks ||
                            now - idle_.front().since > kMaxIdleTime)) {
    idle_bytes_ -= static_cast<int64_t>(idle_.front().block.capacity_);
    dropped.push_back(std::move(idle_.front().block));
    idle_.pop_front();
  }
}

int64_t BlockPool::idle_bytes() const {
  MutexLock lock(mutex_);
  return idle_bytes_;
}

}  // namespace tconv::server
