#include "tests/bench/memory_limits.h"

#include <benchmark/benchmark.h>

#include <bit>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace tconv::bench {
namespace {

using server::DType;
using server::Shape;
using server::Status;
using server::StatusOr;
using server::Tensor;
using server::WorkerPool;

// A part for each thread, so that one finds in its cache what it read before.
std::span<float> PartOf(Tensor& buffer, int64_t index, int64_t count) {
  const std::span<float> values = buffer.mutable_view().values<float>();
  const auto size = static_cast<int64_t>(values.size());
  const int64_t begin = size * index / count;
  return values.subspan(static_cast<size_t>(begin),
                        static_cast<size_t>(size * (index + 1) / count - begin));
}

// Narrow vectors do not reach the speed of the CPU's caches.
#if defined(__x86_64__)
#define TCONV_WIDEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TCONV_WIDEST_VECTORS
#endif

TCONV_WIDEST_VECTORS uint32_t SumOfBits(std::span<const float> values) {
  uint32_t sum = 0;
  for (const float value : values) sum += std::bit_cast<uint32_t>(value);
  return sum;
}

StatusOr<std::shared_ptr<Tensor>> MakeBuffer(int64_t bytes) {
  const Shape shape = {bytes / static_cast<int64_t>(SizeOf(DType::kFloat32))};
  TCONV_ASSIGN_OR_RETURN(Tensor buffer, Tensor::Allocate(DType::kFloat32, shape));
  // Pages that were never written all lie in one place.
  std::memset(buffer.mutable_view().data, 1, static_cast<size_t>(buffer.size_bytes()));
  return std::make_shared<Tensor>(std::move(buffer));
}

}  // namespace

StatusOr<Contender> MakeReadContender(WorkerPool& pool, int64_t bytes) {
  return MakeReadWriteContender(pool, bytes, 0);
}

StatusOr<Contender> MakeReadWriteContender(WorkerPool& pool, int64_t src_bytes, int64_t dst_bytes) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Tensor> src, MakeBuffer(src_bytes));
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Tensor> dst, MakeBuffer(dst_bytes));
  return Contender{.how = "stream", .run = [&pool, src, dst] {
                     const int64_t parts = pool.threads();
                     return pool.Run({.tasks = parts}, [&](int64_t index, std::byte*) -> Status {
                       benchmark::DoNotOptimize(SumOfBits(PartOf(*src, index, parts)));
                       const std::span<float> written = PartOf(*dst, index, parts);
                       std::memset(written.data(), 0, written.size_bytes());
                       return server::OkStatus();
                     });
                   }};
}

}  // namespace tconv::bench
