#include "server/compute/onednn/overlap_planes_plan.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "server/compute/convert_on_pool.h"
#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

class OverlapPlanesPlan final : public ForwardPlan {
 public:
  OverlapPlanesPlan(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool,
                    const DeconvProblem& problem, OverlapLayout layout, DType multiplied_as,
                    TileProducts products, std::shared_ptr<const Weights> weights,
                    std::shared_ptr<const PackedWeights> packed, Weave weave)
      : runtime_(std::move(runtime)),
        pool_(pool),
        problem_(problem),
        layout_(std::move(layout)),
        multiplied_as_(multiplied_as),
        products_(std::move(products)),
        weights_(std::move(weights)),
        packed_(std::move(packed)),
        weave_(std::move(weave)),
        expected_time_(ExpectedTime(problem)) {
    size_t scratchpad_bytes = 0;
    for (const auto& [size, product] : products_) {
      tile_bytes_ = std::max(tile_bytes_, RoundUpToAlignment(product.sums_desc.get_size()));
      scratchpad_bytes = std::max(scratchpad_bytes, product.primitive.scratchpad_bytes());
    }
    for (const OverlapTask& task : layout_.tasks) {
      row_stride_ =
          std::max(row_stride_,
                   RoundUpToAlignment(static_cast<size_t>(task.columns.size()) * sizeof(float)) /
                       sizeof(float));
    }
    rows_bytes_ = static_cast<size_t>(layout_.width().axis.stride) * row_stride_ * sizeof(float);
    scratch_bytes_ = 2 * tile_bytes_ + rows_bytes_ + scratchpad_bytes;
  }

  Status Execute(ConstTensorView src, TensorView dst) const override {
    if (src.dtype == multiplied_as_) return ExecuteAsMultiplied(src, dst);
    TCONV_ASSIGN_OR_RETURN(const Tensor wide, ConvertedOnPool(pool_, src, multiplied_as_));
    return ExecuteAsMultiplied(wide.view(), dst);
  }

  int64_t bytes_held() const override {
    return static_cast<int64_t>(products_.size()) * kPrimitiveBytes;
  }

  std::vector<SharedPart> shared_parts() const override { return {AsSharedPart(packed_)}; }

 private:
  // `src` is of the type that is multiplied.
  Status ExecuteAsMultiplied(ConstTensorView src, TensorView dst) const {
    const auto tasks = static_cast<int64_t>(layout_.tasks.size());
    return pool_.Run({problem_.batch * tasks, scratch_bytes_, expected_time_},
                     [&](int64_t index, std::byte* scratch) {
                       const int64_t image = index / tasks;
                       const OverlapTask& task = layout_.tasks[static_cast<size_t>(index % tasks)];
                       return CallOneDnn([&] {
                         ExecuteTask(task, src.data + image * src.size_bytes() / problem_.batch,
                                     dst.data + image * dst.size_bytes() / problem_.batch, scratch);
                         return OkStatus();
                       });
                     });
  }

  // A row of a product: row[i] is added at position i + shift.
  struct Term {
    const float* row;
    int64_t shift;
  };

  // The products of the last two tiles, and the row of outputs in the making.
  struct Workspace {
    std::array<float*, 2> tiles;
    std::array<int64_t, 2> tile_positions = {0, 0};
    float* row;
    int64_t first_row = 0;  // of the first tile
    int64_t first_column = 0;
    int64_t columns = 0;  // inputs of a line
    std::vector<const float*> sources;
    std::vector<int64_t> source_strides;
    std::vector<Term> terms;
    std::vector<const float*> rows;
  };

  void ExecuteTask(const OverlapTask& task, const std::byte* src, std::byte* dst,
                   std::byte* scratch) const {
    Workspace work;
    work.tiles = {reinterpret_cast<float*>(scratch),
                  reinterpret_cast<float*>(scratch + tile_bytes_)};
    work.row = reinterpret_cast<float*>(scratch + 2 * tile_bytes_);
    std::byte* scratchpad = scratch + 2 * tile_bytes_ + rows_bytes_;
    work.first_row = layout_.rows().InputsOf(task.rows).begin;
    const Range columns = layout_.is_line ? layout_.width().InputsOf(task.columns)
                                          : Range{0, layout_.width().axis.in};
    work.first_column = columns.begin;
    work.columns = columns.size();

    // A row of outputs is complete when the last row that it reads is.
    int64_t next_row = task.rows.begin;
    ForEachTile(layout_, task, [&](int64_t first_row, int64_t rows) {
      const size_t tile = TileOf(work, first_row);
      work.tile_positions[tile] = rows * layout_.RowInputs(task);
      Multiply(task, src, first_row * layout_.row_inputs + work.first_column,
               work.tile_positions[tile], work.tiles[tile], scratchpad);
      const int64_t complete = std::min(first_row + rows, task.rows.end);
      for (; next_row < complete; ++next_row) WeavePosition(task, next_row, work, dst);
    });
    for (; next_row < task.rows.end; ++next_row) WeavePosition(task, next_row, work, dst);
  }

  size_t TileOf(const Workspace& work, int64_t row) const {
    return static_cast<size_t>((row - work.first_row) / layout_.rows_per_tile % 2);
  }

  void Multiply(const OverlapTask& task, const std::byte* src, int64_t first_position,
                int64_t positions, float* sums, std::byte* scratchpad) const {
    const TileProduct& product = products_.at({task.filters, positions});
    const int64_t kernel_offset = task.first_filter * layout_.taps * problem_.in_channels;
    const auto element_bytes = static_cast<int64_t>(SizeOf(multiplied_as_));
    const ConstTensorView kernel =
        packed_ != nullptr ? packed_->data.view() : weights_->kernel.view();
    product.primitive.Execute(
        runtime_->engine(),
        {{DNNL_ARG_SRC, product.kernel_desc, kernel.data + kernel_offset * element_bytes},
         {DNNL_ARG_WEIGHTS, product.src_desc, src + first_position * element_bytes},
         {DNNL_ARG_DST, product.sums_desc, sums}},
        scratchpad);
  }

  // All outputs at one position of the row axis.
  void WeavePosition(const OverlapTask& task, int64_t position, Workspace& work,
                     std::byte* dst) const {
    const AxisGeometry& axis = layout_.rows().axis;
    for (int64_t phase = 0; phase < axis.stride; ++phase) {
      const int64_t out = OutputOf(axis, position, phase);
      if (out < 0 || out >= axis.out) continue;
      if (layout_.row_axis == 0) {
        for (int64_t oh = 0; oh < layout_.axes[1].axis.out; ++oh) {
          WeaveRow(task, out, oh, work, dst);
        }
      } else {
        for (int64_t od = 0; od < layout_.axes[0].axis.out; ++od) {
          WeaveRow(task, od, out, work, dst);
        }
      }
    }
  }

  void WeaveRow(const OverlapTask& task, int64_t od, int64_t oh, Workspace& work,
                std::byte* dst) const {
    FindSources(task, od, oh, work);
    const int64_t row = od * layout_.axes[1].axis.out + oh;
    const int64_t row_size = layout_.width().axis.out;
    const int64_t rows = layout_.axes[0].axis.out * layout_.axes[1].axis.out;
    const int64_t stride = layout_.width().axis.stride;
    for (int64_t filter = 0; filter < task.filters; ++filter) {
      for (int64_t phase = 0; phase < stride; ++phase) SumPlane(task, phase, filter, work);
      const int64_t plane = task.first_filter + filter;
      Interleave(task, work, dst + Bytes((plane * rows + row) * row_size));
    }
  }

  // Where the products of the taps of depth and height lie that reach a row of
  // outputs: tap 0 of the width, filter 0.
  void FindSources(const OverlapTask& task, int64_t od, int64_t oh, Workspace& work) const {
    work.sources.clear();
    work.source_strides.clear();
    if (work.columns == 0) return;
    const auto& [depth, height, width] = layout_.axes;
    for (const Contribution& d : ContributionsOf(depth.axis, od)) {
      for (const Contribution& h : ContributionsOf(height.axis, oh)) {
        const int64_t row = layout_.row_axis == 0 ? d.in : h.in;
        const int64_t inside = layout_.row_axis == 0 ? h.in * width.axis.in : 0;
        const int64_t first_row = row - (row - work.first_row) % layout_.rows_per_tile;
        const size_t tile = TileOf(work, row);
        const int64_t live_tap = depth.live_tap[static_cast<size_t>(d.tap)] * height.live_taps +
                                 height.live_tap[static_cast<size_t>(h.tap)];
        const int64_t product_row = live_tap * width.live_taps * task.filters;
        const int64_t stride = work.tile_positions[tile];
        work.sources.push_back(work.tiles[tile] + product_row * stride +
                               (row - first_row) * layout_.RowInputs(task) + inside);
        work.source_strides.push_back(stride);
      }
    }
  }

  // The finished outputs of one phase of the width and one filter, as a row of
  // the workspace.
  void SumPlane(const OverlapTask& task, int64_t phase, int64_t filter, Workspace& work) const {
    const Range inside = FindTerms(task, phase, filter, work);
    float* row = work.row + static_cast<size_t>(phase) * row_stride_;
    float* out = row;
    for (int64_t p = task.columns.begin; p < inside.begin; ++p) *out++ = SumAt(p, work);
    if (inside.size() > 0) {
      work.rows.clear();
      for (const Term& term : work.terms) work.rows.push_back(term.row + inside.begin - term.shift);
      weave_.SumRows(work.rows.data(), work.rows.size(), static_cast<size_t>(inside.size()), out);
      out += inside.size();
    }
    for (int64_t p = inside.end; p < task.columns.end; ++p) *out++ = SumAt(p, work);
    weave_.FinishPlane(row, static_cast<size_t>(task.columns.size()),
                       static_cast<size_t>(task.first_filter + filter));
  }

  // The terms that one phase of the width and one filter are summed from;
  // returns the positions that all of them reach.
  Range FindTerms(const OverlapTask& task, int64_t phase, int64_t filter, Workspace& work) const {
    const AxisGeometry& axis = layout_.width().axis;
    const int64_t distance = axis.stride == 1 ? axis.dilation : 1;
    Range inside = task.columns;
    work.terms.clear();
    int64_t shift = work.first_column;
    for (int64_t tap = phase; tap < axis.kernel; tap += axis.stride, shift += distance) {
      const int64_t live_tap = layout_.width().live_tap[static_cast<size_t>(tap)];
      if (live_tap < 0) continue;
      for (size_t i = 0; i < work.sources.size(); ++i) {
        const int64_t product_row = live_tap * task.filters + filter;
        work.terms.push_back({work.sources[i] + product_row * work.source_strides[i], shift});
      }
      inside.begin = std::max(inside.begin, shift);
      inside.end = std::min(inside.end, shift + work.columns);
    }
    if (work.terms.empty() || inside.end <= inside.begin) {
      return {task.columns.end, task.columns.end};
    }
    return inside;
  }

  // One position that some of the terms reach.
  static float SumAt(int64_t position, const Workspace& work) {
    float sum = 0;
    for (const Term& term : work.terms) {
      const int64_t in = position - term.shift;
      if (in >= 0 && in < work.columns) sum += term.row[in];
    }
    return sum;
  }

  // Writes a row of outputs from the rows of its phases.
  void Interleave(const OverlapTask& task, const Workspace& work, std::byte* row) const {
    const AxisGeometry& axis = layout_.width().axis;
    const auto interleave = [&](int64_t p, int64_t positions, int64_t first, int64_t phases) {
      const float* values =
          work.row + static_cast<size_t>(first) * row_stride_ + (p - task.columns.begin);
      weave_.Interleave(values, row_stride_, static_cast<size_t>(phases),
                        static_cast<size_t>(positions), row + Bytes(OutputOf(axis, p, first)));
    };
    ForEachSpan(axis, 0, axis.stride, task.columns, interleave);
  }

  // Of a number of output elements.
  size_t Bytes(int64_t elements) const {
    return static_cast<size_t>(elements) * weave_.element_bytes();
  }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const DeconvProblem problem_;
  const OverlapLayout layout_;
  const DType multiplied_as_;
  const TileProducts products_;
  const std::shared_ptr<const Weights> weights_;
  const std::shared_ptr<const PackedWeights> packed_;  // null: the kernel of weights_ as it is
  const Weave weave_;
  const std::chrono::nanoseconds expected_time_;
  size_t row_stride_ = 0;  // of the planes, in floats
  size_t tile_bytes_ = 0;
  size_t rows_bytes_ = 0;
  size_t scratch_bytes_ = 0;
};

}  // namespace

std::unique_ptr<const ForwardPlan> MakeOverlapPlanesPlan(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool, const DeconvProblem& problem,
    OverlapLayout layout, DType multiplied_as, TileProducts products,
    std::shared_ptr<const Weights> weights, std::shared_ptr<const PackedWeights> packed,
    Weave weave) {
  return std::make_unique<const OverlapPlanesPlan>(
      std::move(runtime), pool, problem, std::move(layout), multiplied_as, std::move(products),
      std::move(weights), std::move(packed), std::move(weave));
}

}  // namespace tconv::server
