#include "server/compute/onednn/overlap_blocks_plan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "server/compute/convert_on_pool.h"
#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

// The kernels of the weave may touch so many floats beyond a buffer.
constexpr size_t kSlackBytes = 64;
// Blocks of so many values fill vectors when they are finished one by one.
constexpr int64_t kLongBlock = 16;

class OverlapBlocksPlan final : public ForwardPlan {
 public:
  OverlapBlocksPlan(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool,
                    const DeconvProblem& problem, OverlapBlocks blocks, DType multiplied_as,
                    OverlapBlocksParts parts, Weave weave)
      : runtime_(std::move(runtime)),
        pool_(pool),
        problem_(problem),
        blocks_(std::move(blocks)),
        multiplied_as_(multiplied_as),
        parts_(std::move(parts)),
        weave_(std::move(weave)),
        expected_time_(ExpectedTime(problem)) {
    LayOutScratch();
  }

  Status Execute(ConstTensorView src, TensorView dst) const override {
    if (src.dtype == multiplied_as_) return ExecuteAsMultiplied(src, dst);
    TCONV_ASSIGN_OR_RETURN(const Tensor wide, ConvertedOnPool(pool_, src, multiplied_as_));
    return ExecuteAsMultiplied(wide.view(), dst);
  }

  int64_t bytes_held() const override {
    return static_cast<int64_t>(parts_.products.size()) * kPrimitiveBytes;
  }

  std::vector<SharedPart> shared_parts() const override {
    std::vector<SharedPart> parts;
    for (const auto& [first_filter, weights] : parts_.weights) {
      parts.push_back(AsSharedPart(weights));
    }
    return parts;
  }

 private:
  // What a task works with: the products of the last two tiles, and a row of
  // outputs in the making.
  struct Workspace {
    std::array<float*, 2> tiles;
    std::array<std::array<Range, 3>, 2> inputs;  // of the tiles
    int64_t first_row = 0;                       // of the first tile
    float* sums;
    std::byte* finished;
    std::byte* scratchpad;
    std::vector<Blocks> terms;
    std::vector<Range> term_positions;
    std::vector<Blocks> some_terms;
  };

  void LayOutScratch() {
    size_t scratchpad_bytes = 0;
    for (const auto& [size, product] : parts_.products) {
      tile_bytes_ = std::max(tile_bytes_, RoundUpToAlignment(product.sums_desc.get_size()));
      scratchpad_bytes = std::max(scratchpad_bytes, product.primitive.scratchpad_bytes());
    }
    int64_t sums = 0;
    for (const OverlapRun& run : blocks_.runs) {
      for (const OverlapTask& task : blocks_.tasks) {
        sums = std::max(sums, task.columns.size() * run.phases() * task.filters);
      }
    }
    sums_bytes_ = RoundUpToAlignment(static_cast<size_t>(sums) * sizeof(float) + kSlackBytes);
    scratch_bytes_ = 2 * tile_bytes_ + 2 * sums_bytes_ + scratchpad_bytes;
  }

  // `src` is of the type that is multiplied.
  Status ExecuteAsMultiplied(ConstTensorView src, TensorView dst) const {
    const auto tasks = static_cast<int64_t>(blocks_.tasks.size());
    // All images of a task follow each other, for they share its weights.
    return pool_.Run({problem_.batch * tasks, scratch_bytes_, expected_time_},
                     [&](int64_t index, std::byte* scratch) {
                       const OverlapTask& task =
                           blocks_.tasks[static_cast<size_t>(index / problem_.batch)];
                       return CallOneDnn([&] {
                         ExecuteTask(task, index % problem_.batch, src.data, dst.data, scratch);
                         return OkStatus();
                       });
                     });
  }

  int64_t InputIndex(int64_t image, int64_t d, int64_t h, int64_t w) const {
    const auto& axes = blocks_.axes;
    return ((image * axes[0].in + d) * axes[1].in + h) * axes[2].in + w;
  }

  // Of a number of input positions.
  size_t InputBytes(int64_t positions) const {
    return static_cast<size_t>(positions * problem_.in_channels) * SizeOf(multiplied_as_);
  }

  void ExecuteTask(const OverlapTask& task, int64_t image, const std::byte* src, std::byte* dst,
                   std::byte* scratch) const {
    Workspace work;
    work.tiles = {reinterpret_cast<float*>(scratch),
                  reinterpret_cast<float*>(scratch + tile_bytes_)};
    work.sums = reinterpret_cast<float*>(scratch + 2 * tile_bytes_);
    work.finished = scratch + 2 * tile_bytes_ + sums_bytes_;
    work.scratchpad = work.finished + sums_bytes_;
    std::byte* dst_image =
        dst + OutputBytes(image * blocks_.axes[0].out * blocks_.axes[1].out * blocks_.axes[2].out);

    const Range inputs = blocks_.InputsOf(task, blocks_.row_axis);
    work.first_row = inputs.begin;
    // A row of outputs is complete when the last row that it reads is.
    int64_t next = task.rows.begin;
    for (int64_t row = inputs.begin; row < inputs.end; row += blocks_.rows_per_tile) {
      const Range tile = {row, std::min(row + blocks_.rows_per_tile, inputs.end)};
      MultiplyTile(task, image, tile, src, work);
      const int64_t complete = std::min(tile.end, task.rows.end);
      for (; next < complete; ++next) WeaveRows(task, next, work, dst_image);
    }
    for (; next < task.rows.end; ++next) WeaveRows(task, next, work, dst_image);
  }

  size_t TileOf(const Workspace& work, int64_t row) const {
    return static_cast<size_t>((row - work.first_row) / blocks_.rows_per_tile % 2);
  }

  void MultiplyTile(const OverlapTask& task, int64_t image, const Range& tile, const std::byte* src,
                    Workspace& work) const {
    const size_t slot = TileOf(work, tile.begin);
    const std::array<Range, 3> inputs = blocks_.InputsOf(task, tile);
    work.inputs[slot] = inputs;
    const int64_t positions = inputs[0].size() * inputs[1].size() * inputs[2].size();
    if (positions == 0) return;
    const BlockProduct& product = parts_.products.at({task.filters, positions});
    const PackedWeights& weights = *parts_.weights.at(task.first_filter);
    const int64_t first = InputIndex(image, inputs[0].begin, inputs[1].begin, inputs[2].begin);
    product.primitive.Execute(runtime_->engine(),
                              {{DNNL_ARG_SRC, product.src_desc, src + InputBytes(first)},
                               {DNNL_ARG_WEIGHTS, weights.desc, weights.data.view().data},
                               {DNNL_ARG_DST, product.sums_desc, work.tiles[slot]}},
                              work.scratchpad);
  }

  // All outputs at one position of the row axis.
  void WeaveRows(const OverlapTask& task, int64_t position, Workspace& work, std::byte* dst) const {
    const size_t other_axis = 1 - blocks_.row_axis;
    const Range others = blocks_.PositionsOf(task, other_axis);
    for (int64_t other = others.begin; other < others.end; ++other) {
      std::array<int64_t, 2> at;
      at[blocks_.row_axis] = position;
      at[other_axis] = other;
      for (const OverlapRun& run : blocks_.runs) {
        if (!Contains(run.axes[0].positions, at[0])) continue;
        if (!Contains(run.axes[1].positions, at[1])) continue;
        WeaveRun(task, run, at, work, dst);
      }
    }
  }

  static bool Contains(const Range& range, int64_t value) {
    return range.begin <= value && value < range.end;
  }

  // The outputs of one run at a position of depth and height.
  void WeaveRun(const OverlapTask& task, const OverlapRun& run, const std::array<int64_t, 2>& at,
                Workspace& work, std::byte* dst) const {
    const Range positions = Intersection(run.axes[2].positions, task.columns);
    if (positions.size() == 0) return;
    FindTerms(task, run, at, work);
    SumRun(run.phases() * task.filters, positions, work);

    const TapRun& d = run.axes[0];
    const TapRun& h = run.axes[1];
    const TapRun& w = run.axes[2];
    const AxisGeometry& width = blocks_.axes[2];
    const int64_t block = w.phases * task.filters;
    const int64_t channels = run.phases() * task.filters;
    const int64_t dst_block = w.phases == width.stride ? block : 0;
    const bool is_finished = block < kLongBlock && dst_block != channels;
    if (is_finished) FinishAll(task, positions.size() * run.phases(), work);
    for (int64_t i = 0; i < d.phases * h.phases; ++i) {
      const int64_t od = OutputOf(blocks_.axes[0], at[0], d.first_phase + i / h.phases);
      const int64_t oh = OutputOf(blocks_.axes[1], at[1], h.first_phase + i % h.phases);
      if (od < 0 || od >= blocks_.axes[0].out || oh < 0 || oh >= blocks_.axes[1].out) continue;
      std::byte* row = dst + OutputBytes((od * blocks_.axes[1].out + oh) * width.out);
      ForEachSpan(width, w.first_phase, w.phases, positions,
                  [&](int64_t p, int64_t count, int64_t first_phase, int64_t phases) {
                    const int64_t out = OutputOf(width, p, w.first_phase + first_phase);
                    const int64_t from =
                        (p - positions.begin) * channels + i * block + first_phase * task.filters;
                    std::byte* to = row + OutputBytes(out) +
                                    static_cast<size_t>(task.first_filter) * weave_.element_bytes();
                    if (is_finished) {
                      weave_.CopyBlocks(work.finished + Bytes(from), Bytes(channels),
                                        static_cast<size_t>(count), Bytes(phases * task.filters),
                                        to, OutputBytes(width.stride));
                    } else {
                      weave_.FinishRows(
                          {work.sums + from, static_cast<size_t>(channels),
                           static_cast<size_t>(count), static_cast<size_t>(phases * task.filters)},
                          static_cast<size_t>(task.first_filter), to,
                          static_cast<size_t>(width.stride * problem_.out_channels));
                    }
                  });
    }
  }

  // The blocks that the positions of a run are summed from, and the positions
  // that each of them reaches.
  void FindTerms(const OverlapTask& task, const OverlapRun& run, const std::array<int64_t, 2>& at,
                 Workspace& work) const {
    work.terms.clear();
    work.term_positions.clear();
    const auto columns = static_cast<size_t>(blocks_.Columns(task.filters));
    for (const OverlapPiece& piece : run.pieces) {
      const std::array<int64_t, 2> in = {at[0] - piece.step[0] * run.axes[0].distance,
                                         at[1] - piece.step[1] * run.axes[1].distance};
      if (in[0] < 0 || in[0] >= blocks_.axes[0].in) continue;
      if (in[1] < 0 || in[1] >= blocks_.axes[1].in) continue;
      const size_t slot = TileOf(work, in[blocks_.row_axis]);
      const auto& inputs = work.inputs[slot];
      const int64_t position =
          ((in[0] - inputs[0].begin) * inputs[1].size() + in[1] - inputs[1].begin) *
          inputs[2].size();
      const float* values = work.tiles[slot] + static_cast<size_t>(position) * columns +
                            piece.first_tap * task.filters;
      const int64_t shift = piece.step[2] * run.axes[2].distance;
      work.terms.push_back({values, columns});
      work.term_positions.push_back({inputs[2].begin + shift, inputs[2].end + shift});
    }
  }

  // sums[p][channel], for the positions of the width
  void SumRun(int64_t channels, const Range& positions, Workspace& work) const {
    Range inside = positions;  // reached by all terms
    for (const Range& reached : work.term_positions) inside = Intersection(inside, reached);
    if (work.terms.empty() || inside.size() == 0) inside = {positions.end, positions.end};
    for (int64_t p = positions.begin; p < inside.begin; ++p) {
      SumSpan(p, 1, channels, positions, work);
    }
    SumSpan(inside.begin, inside.size(), channels, positions, work);
    for (int64_t p = inside.end; p < positions.end; ++p) {
      SumSpan(p, 1, channels, positions, work);
    }
  }

  // The sums of `count` positions, which the same terms reach.
  void SumSpan(int64_t p, int64_t count, int64_t channels, const Range& positions,
               Workspace& work) const {
    if (count == 0) return;
    work.some_terms.clear();
    for (size_t t = 0; t < work.terms.size(); ++t) {
      const Range& reached = work.term_positions[t];
      if (!Contains(reached, p)) continue;
      const Blocks& term = work.terms[t];
      work.some_terms.push_back(
          {term.values + static_cast<size_t>(p - reached.begin) * term.stride, term.stride});
    }
    float* sums = work.sums + (p - positions.begin) * channels;
    if (work.some_terms.empty()) {
      std::fill_n(sums, count * channels, 0.0f);
    } else {
      weave_.SumBlocks(work.some_terms, static_cast<size_t>(count), static_cast<size_t>(channels),
                       sums);
    }
  }

  // Finishes rows of sums, which are all filters of the task.
  void FinishAll(const OverlapTask& task, int64_t rows, Workspace& work) const {
    const auto filters = static_cast<size_t>(task.filters);
    weave_.FinishRows({work.sums, filters, static_cast<size_t>(rows), filters},
                      static_cast<size_t>(task.first_filter), work.finished, filters);
  }

  // Of a number of output values, and of output positions.
  size_t Bytes(int64_t values) const {
    return static_cast<size_t>(values) * weave_.element_bytes();
  }
  size_t OutputBytes(int64_t positions) const { return Bytes(positions * problem_.out_channels); }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const DeconvProblem problem_;
  const OverlapBlocks blocks_;
  const DType multiplied_as_;
  const OverlapBlocksParts parts_;
  const Weave weave_;
  const std::chrono::nanoseconds expected_time_;
  size_t tile_bytes_ = 0;
  size_t sums_bytes_ = 0;
  size_t scratch_bytes_ = 0;
};

}  // namespace

std::unique_ptr<const ForwardPlan> MakeOverlapBlocksPlan(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool, const DeconvProblem& problem,
    OverlapBlocks blocks, DType multiplied_as, OverlapBlocksParts parts, Weave weave) {
  return std::make_unique<const OverlapBlocksPlan>(std::move(runtime), pool, problem,
                                                   std::move(blocks), multiplied_as,
                                                   std::move(parts), std::move(weave));
}

}  // namespace tconv::server
