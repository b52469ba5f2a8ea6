#include "client/src/memory_pool.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <utility>

namespace tconv {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Smaller blocks are left to malloc(), which reuses them by itself.
constexpr size_t kSmallestPooled = size_t{256} << 10;

size_t RoundUp(size_t bytes, size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

std::shared_ptr<std::byte> AllocateSmall(size_t bytes) {
  void* const memory =
      std::aligned_alloc(kAlignment, RoundUp(std::max<size_t>(bytes, 1), kAlignment));
  return {static_cast<std::byte*>(memory), std::free};
}

// Whole huge pages, from a larger mapping whose ends go back.
std::shared_ptr<std::byte> AllocateLarge(size_t bytes) {
  const size_t used = RoundUp(bytes, kHugePage);
  const size_t mapped = used + kHugePage;
  void* const mapping =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(mapping);
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  const size_t skipped = RoundUp(address, kHugePage) - address;
  std::byte* const memory = begin + skipped;
  if (skipped > 0) munmap(begin, skipped);
  munmap(memory + used, kHugePage - skipped);
  // Only advice: without huge pages everything works, but slower.
  madvise(memory, used, MADV_HUGEPAGE);
  return {memory, [used](std::byte* freed) { munmap(freed, used); }};
}

}  // namespace

absl::StatusOr<std::shared_ptr<std::byte>> AllocateMemory(size_t bytes) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max() / 2;
  std::shared_ptr<std::byte> memory;
  if (bytes <= kMost) memory = bytes < kHugePage ? AllocateSmall(bytes) : AllocateLarge(bytes);
  if (memory != nullptr) return memory;
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot allocate ", bytes, " bytes for the elements of a tensor"));
}

absl::StatusOr<std::shared_ptr<std::byte>> MemoryPool::Allocate(size_t bytes) {
  if (bytes < kSmallestPooled || bytes > max_idle_bytes_) return AllocateMemory(bytes);
  Block block = TakeIdle(bytes);
  if (block.memory == nullptr) {
    auto memory = AllocateMemory(bytes);
    if (!memory.ok()) return memory;
    block = {*std::move(memory), bytes};
  }
  std::byte* const address = block.memory.get();
  return std::shared_ptr<std::byte>(
      address, [pool = weak_from_this(), block = std::move(block)](std::byte*) mutable {
        if (const auto live = pool.lock()) live->Return(std::move(block));
      });
}

MemoryPool::Block MemoryPool::TakeIdle(size_t bytes) {
  const std::lock_guard lock(mutex_);
  // At most a half of a block is left unused.
  const auto fits = std::find_if(idle_.rbegin(), idle_.rend(), [bytes](const Block& block) {
    return block.bytes >= bytes && block.bytes / 2 <= bytes;
  });
  if (fits == idle_.rend()) return {};
  Block block = std::move(*fits);
  idle_.erase(std::next(fits).base());
  idle_bytes_ -= block.bytes;
  return block;
}

void MemoryPool::Return(Block block) {
  std::list<Block> freed;  // outside of the lock
  const std::lock_guard lock(mutex_);
  idle_bytes_ += block.bytes;
  idle_.push_back(std::move(block));
  while (idle_bytes_ > max_idle_bytes_) {
    idle_bytes_ -= idle_.front().bytes;
    freed.splice(freed.end(), idle_, idle_.begin());
  }
}

}  // namespace tconv
