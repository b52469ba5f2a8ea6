// Both gradients as matrix products with the windows of diff_dst (windows.h), of which
// a tile at a time is made in cache. The kernel and its gradient are read and written
// as Keras stores them: to bring megabytes of weights into another layout, as the
// library's convolutions want them, takes longer than to multiply with them.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "server/compute/backward_strategies.h"
#include "server/compute/convert_on_pool.h"
#include "server/compute/cost_model.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/tiles.h"
#include "server/compute/weave_kernels.h"
#include "server/compute/windows.h"

namespace tconv::server {
namespace {

// Columns of windows that are made at once, and floats of a tile of them: a half of the
// smallest L2 cache in use.
constexpr int64_t kChunkColumns = 640;
constexpr int64_t kTileFloats = 160 << 10;
constexpr int64_t kLeastTilePositions = 48;
constexpr int64_t kMostTilePositions = 1024;

// Of both gradients: some times what it costs to start a task.
constexpr int64_t kMultiplicationsPerTask = 1'000'000;
constexpr int64_t kMostTasks = 16;

// A set of channels has so many, at least.
constexpr int64_t kLeastInputChannels = 256;

// Products of pixels are faster than those of planes; with so many rows of the kernel
// that is worth the time it takes to make pixels of planes.
constexpr int64_t kLeastRowsWorthPixels = 1024;

// Sums of the kernel's gradient that stay in the cache while tiles pass by.
constexpr int64_t kCachedSums = 128 << 10;

// Rows that lie `stride` elements apart.
struct Factor {
  const float* values;
  int64_t stride;
  bool is_transposed = false;
};

struct ProductShape {
  int64_t rows;
  int64_t columns;
  int64_t terms;  // of each sum
};

// result = a * b, or result += a * b. Throws dnnl::error.
void Multiply(const Factor& a, const Factor& b, const ProductShape& shape, bool add, float* result,
              int64_t result_stride) {
  dnnl::error::wrap_c_api(
      dnnl_sgemm(a.is_transposed ? 'T' : 'N', b.is_transposed ? 'T' : 'N', shape.rows,
                 shape.columns, shape.terms, 1.0f, a.values, a.stride, b.values, b.stride,
                 add ? 1.0f : 0.0f, result, result_stride),
      "could not multiply matrices");
}

// Tensors of one run. diff_dst is channels_last.
struct Operands {
  const float* kernel;
  const float* src;
  const float* diff_dst;
  float* diff_src;     // null when not asked for
  float* diff_kernel;  // null when not asked for
};

// Positions of one image; or of all, where they follow each other.
struct Tile {
  int64_t image;
  int64_t first;
  int64_t count;
};

class WindowMatmulPlan final : public BackwardPlan {
 public:
  WindowMatmulPlan(WorkerPool& pool, const DeconvProblem& problem, Windows windows)
      : pool_(pool),
        problem_(problem),
        windows_(std::move(windows)),
        in_channels_(problem.in_channels),
        kernel_rows_(problem.out_channels),
        expected_time_(2 * ExpectedTime(problem)) {
    for (const AxisGeometry& axis : problem.axes) kernel_rows_ *= axis.kernel;
    const bool has_planes = problem.data_format == DataFormat::kChannelsFirst;
    for (const WindowChunk& chunk : windows_.chunks()) {
      widest_chunk_ = std::max(widest_chunk_, chunk.columns);
      live_rows_ += chunk.columns;
    }
    // Planes of few positions would make a product of each image.
    reads_planes_ = has_planes && live_rows_ <= kLeastRowsWorthPixels &&
                    windows_.positions() >= kLeastTilePositions * problem.batch;
    images_ = reads_planes_ ? problem.batch : 1;
    positions_ = windows_.positions() / images_;
    CutIntoTasks();
  }

  Status Execute(const BackwardArguments& arguments, BlockPool& memory) const override {
    Operands operands = {.kernel = Values(arguments.kernel),
                         .src = Values(arguments.src),
                         .diff_dst = Values(arguments.diff_dst),
                         .diff_src = Values(arguments.diff_src),
                         .diff_kernel = Values(arguments.diff_kernel)};
    if (problem_.data_format == DataFormat::kChannelsLast) return Compute(operands, memory);

    TCONV_ASSIGN_OR_RETURN(const Tensor diff_dst,
                           ToPixels(arguments.diff_dst, problem_.out_channels, memory));
    operands.diff_dst = Values(diff_dst.view());
    if (reads_planes_) return Compute(operands, memory);

    TCONV_ASSIGN_OR_RETURN(const Tensor src, ToPixels(arguments.src, problem_.in_channels, memory));
    operands.src = Values(src.view());
    if (operands.diff_src == nullptr) return Compute(operands, memory);
    TCONV_ASSIGN_OR_RETURN(Tensor diff_src,
                           Tensor::Allocate(DType::kFloat32, arguments.diff_src.shape, memory));
    operands.diff_src = Values(diff_src.mutable_view());
    TCONV_RETURN_IF_ERROR(Compute(operands, memory));
    return PixelsToPlanes(pool_, diff_src.view(), problem_.batch, problem_.in_channels,
                          arguments.diff_src);
  }

  int64_t bytes_held() const override {
    return static_cast<int64_t>(sizeof(*this) + windows_.chunks().size() * sizeof(WindowChunk));
  }

 private:
  static const float* Values(ConstTensorView tensor) {
    return reinterpret_cast<const float*>(tensor.data);
  }
  static float* Values(TensorView tensor) { return reinterpret_cast<float*>(tensor.data); }

  // The cuts depend on the problem alone: so do the results.
  void CutIntoTasks() {
    const int64_t multiplications = 2 * windows_.positions() * live_rows_ * in_channels_;
    const int64_t tasks =
        std::clamp<int64_t>(multiplications / kMultiplicationsPerTask, 1, kMostTasks);
    const int64_t fits =
        std::clamp(kTileFloats / widest_chunk_, kLeastTilePositions, kMostTilePositions);
    const int64_t wanted = std::max(CeilDiv(windows_.positions(), tasks), kLeastTilePositions);
    tiles_per_image_ = CeilDiv(positions_, std::min(fits, wanted));
    tile_ = CeilDiv(positions_, tiles_per_image_);
    if (live_rows_ * in_channels_ <= kCachedSums) parts_ = std::min(tasks, tiles());
    channel_sets_ = std::min(CeilDiv(tasks, tiles()), CeilDiv(in_channels_, kLeastInputChannels));
  }

  static size_t Index(int64_t index) { return static_cast<size_t>(index); }
  int64_t tiles() const { return images_ * tiles_per_image_; }
  int64_t chunk_count() const { return static_cast<int64_t>(windows_.chunks().size()); }

  StatusOr<Tensor> ToPixels(ConstTensorView planes, int64_t channels, BlockPool& memory) const {
    TCONV_ASSIGN_OR_RETURN(Tensor pixels, Tensor::Allocate(planes.dtype, planes.shape, memory));
    TCONV_RETURN_IF_ERROR(
        PlanesToPixels(pool_, planes, problem_.batch, channels, pixels.mutable_view()));
    return pixels;
  }

  Status Compute(const Operands& operands, BlockPool& memory) const {
    return parts_ > 0 ? ComputeByParts(operands, memory) : ComputeByChunks(operands);
  }

  // Taps that reach no output are in no chunk: those before this one, and those behind
  // the last.
  void ClearAround(size_t index, float* diff_kernel) const {
    const std::vector<WindowChunk>& chunks = windows_.chunks();
    const auto end_of = [&](size_t chunk) {
      return chunks[chunk].first_kernel_row + chunks[chunk].columns;
    };
    const auto clear = [&](int64_t begin, int64_t end) {
      std::fill(diff_kernel + begin * in_channels_, diff_kernel + end * in_channels_, 0.0f);
    };
    clear(index == 0 ? 0 : end_of(index - 1), chunks[index].first_kernel_row);
    if (index + 1 == chunks.size()) clear(end_of(index), kernel_rows_);
  }

  // For kernels of some kilobytes: a task makes the windows of a part of the positions
  // once, for both gradients, and has sums of its own, which are added in their order.
  Status ComputeByParts(const Operands& operands, BlockPool& memory) const {
    Tensor part_sums;
    if (operands.diff_kernel != nullptr) {
      TCONV_ASSIGN_OR_RETURN(
          part_sums, Tensor::Allocate(DType::kFloat32, {parts_, live_rows_, in_channels_}, memory));
    }
    float* const sums = Values(part_sums.mutable_view());
    TCONV_RETURN_IF_ERROR(RunTasks(
        parts_, [&](int64_t part, float* windows) { ComputePart(operands, part, sums, windows); }));
    if (operands.diff_kernel == nullptr) return OkStatus();
    return RunTasks(chunk_count(), [&](int64_t chunk, float*) {
      ClearAround(Index(chunk), operands.diff_kernel);
      AddParts(sums, Index(chunk), operands.diff_kernel);
    });
  }

  void ComputePart(const Operands& operands, int64_t part, float* part_sums, float* windows) const {
    const int64_t first_tile = part * tiles() / parts_;
    const int64_t last_tile = (part + 1) * tiles() / parts_;
    for (int64_t t = first_tile; t < last_tile; ++t) {
      const Tile tile = TileAt(t);
      float* sums = part_sums == nullptr ? nullptr : part_sums + part * live_rows_ * in_channels_;
      for (const WindowChunk& chunk : windows_.chunks()) {
        Gather(operands, chunk, tile, windows);
        if (operands.diff_src != nullptr) {
          AddToSource(operands, chunk, tile, windows, {0, in_channels_});
        }
        if (sums == nullptr) continue;
        AddToKernel(operands, chunk, tile, windows, t > first_tile, sums);
        sums += chunk.columns * in_channels_;
      }
    }
  }

  void AddParts(const float* part_sums, size_t index, float* diff_kernel) const {
    const WindowChunk& chunk = windows_.chunks()[index];
    int64_t first_row = 0;
    for (size_t i = 0; i < index; ++i) first_row += windows_.chunks()[i].columns;
    const float* terms[kMostTasks];
    for (int64_t part = 0; part < parts_; ++part) {
      terms[part] = part_sums + (part * live_rows_ + first_row) * in_channels_;
    }
    WeaveKernelsForThisCpu().sum_rows(terms, Index(parts_), Index(chunk.columns * in_channels_),
                                      diff_kernel + chunk.first_kernel_row * in_channels_);
  }

  // For large kernels: tasks of diff_kernel are chunks, which no other task writes;
  // those of diff_src are tiles, and sets of channels where tiles are few.
  Status ComputeByChunks(const Operands& operands) const {
    const int64_t source_tasks = operands.diff_src == nullptr ? 0 : tiles() * channel_sets_;
    const int64_t kernel_tasks = operands.diff_kernel == nullptr ? 0 : chunk_count();
    return RunTasks(source_tasks + kernel_tasks, [&](int64_t task, float* windows) {
      if (task < source_tasks) {
        ComputeSource(operands, TileAt(task / channel_sets_), task % channel_sets_, windows);
      } else {
        ClearAround(Index(task - source_tasks), operands.diff_kernel);
        ComputeKernel(operands, windows_.chunks()[Index(task - source_tasks)], windows);
      }
    });
  }

  void ComputeSource(const Operands& operands, const Tile& tile, int64_t channel_set,
                     float* windows) const {
    const Range channels = {channel_set * in_channels_ / channel_sets_,
                            (channel_set + 1) * in_channels_ / channel_sets_};
    for (const WindowChunk& chunk : windows_.chunks()) {
      Gather(operands, chunk, tile, windows);
      AddToSource(operands, chunk, tile, windows, channels);
    }
  }

  void ComputeKernel(const Operands& operands, const WindowChunk& chunk, float* windows) const {
    float* sums = operands.diff_kernel + chunk.first_kernel_row * in_channels_;
    for (int64_t t = 0; t < tiles(); ++t) {
      const Tile tile = TileAt(t);
      Gather(operands, chunk, tile, windows);
      AddToKernel(operands, chunk, tile, windows, t > 0, sums);
    }
  }

  void Gather(const Operands& operands, const WindowChunk& chunk, const Tile& tile,
              float* windows) const {
    windows_.Gather(chunk, tile.image * positions_ + tile.first, tile.count, operands.diff_dst,
                    windows);
  }

  // The first chunk begins the sums.
  void AddToSource(const Operands& operands, const WindowChunk& chunk, const Tile& tile,
                   const float* windows, const Range& channels) const {
    const bool add = &chunk != &windows_.chunks().front();
    const float* taps = operands.kernel + chunk.first_kernel_row * in_channels_ + channels.begin;
    float* sums = operands.diff_src + SourceOffset(tile, channels.begin);
    if (reads_planes_) {
      Multiply({taps, in_channels_, true}, {windows, chunk.columns, true},
               {channels.size(), tile.count, chunk.columns}, add, sums, positions_);
    } else {
      Multiply({windows, chunk.columns}, {taps, in_channels_},
               {tile.count, channels.size(), chunk.columns}, add, sums, in_channels_);
    }
  }

  void AddToKernel(const Operands& operands, const WindowChunk& chunk, const Tile& tile,
                   const float* windows, bool add, float* sums) const {
    const int64_t stride = reads_planes_ ? positions_ : in_channels_;
    Multiply({windows, chunk.columns, true},
             {operands.src + SourceOffset(tile, 0), stride, reads_planes_},
             {chunk.columns, in_channels_, tile.count}, add, sums, in_channels_);
  }

  // Where a tile begins in src and diff_src.
  int64_t SourceOffset(const Tile& tile, int64_t channel) const {
    if (!reads_planes_) return tile.first * in_channels_ + channel;
    return (tile.image * in_channels_ + channel) * positions_ + tile.first;
  }

  Tile TileAt(int64_t index) const {
    const int64_t first = index % tiles_per_image_ * tile_;
    return {index / tiles_per_image_, first, std::min(tile_, positions_ - first)};
  }

  // Calls task(index, memory for a tile of windows), which may throw dnnl::error.
  template <typename Task>
  Status RunTasks(int64_t tasks, Task task) const {
    const size_t windows_bytes = Index(tile_ * widest_chunk_) * sizeof(float);
    return pool_.Run({tasks, windows_bytes, expected_time_},
                     [&](int64_t index, std::byte* scratch) {
                       return CallOneDnn([&] {
                         task(index, reinterpret_cast<float*>(scratch));
                         return OkStatus();
                       });
                     });
  }

  WorkerPool& pool_;
  const DeconvProblem problem_;
  const Windows windows_;
  const int64_t in_channels_;
  int64_t kernel_rows_;  // those of taps that reach no output included
  const std::chrono::nanoseconds expected_time_;
  bool reads_planes_ = false;  // src as planes, and so diff_src
  int64_t images_ = 1;         // that are cut into tiles apart from each other
  int64_t positions_ = 0;      // of each of them
  int64_t tile_ = 0;           // positions of each tile but the last of an image
  int64_t tiles_per_image_ = 0;
  int64_t widest_chunk_ = 0;
  int64_t live_rows_ = 0;     // of the kernel: those of all chunks
  int64_t parts_ = 0;         // of the positions; 0: tasks are chunks of the kernel
  int64_t channel_sets_ = 1;  // of the tasks of diff_src
};

class WindowMatmulStrategy final : public BackwardStrategy {
 public:
  explicit WindowMatmulStrategy(WorkerPool& pool) : pool_(pool) {}

  std::string_view name() const override { return "window_matmul"; }

  Status Supports(const DeconvProblem& problem) const override {
    TCONV_RETURN_IF_ERROR(FitsOneDnn(problem));
    if (Windows(problem, kChunkColumns).chunks().empty()) {
      return MakeError(StatusCode::kUnimplemented, "no tap reaches an output");
    }
    return OkStatus();
  }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return WindowMatmulTime(problem);
  }

  StatusOr<std::unique_ptr<const BackwardPlan>> Compile(
      const DeconvProblem& problem) const override {
    return std::make_unique<const WindowMatmulPlan>(pool_, problem,
                                                    Windows(problem, kChunkColumns));
  }

 private:
  WorkerPool& pool_;
};

}  // namespace

std::unique_ptr<const BackwardStrategy> MakeWindowMatmulStrategy(WorkerPool& pool) {
  return std::make_unique<const WindowMatmulStrategy>(pool);
}

}  // namespace tconv::server
