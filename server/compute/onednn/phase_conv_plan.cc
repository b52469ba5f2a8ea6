#include "server/compute/onednn/phase_conv_plan.h"

#include <algorithm>
#include <utility>

#include "server/compute/convert_on_pool.h"
#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

// Outputs of a row that are filled at once where no convolution computes any.
constexpr int64_t kGapOutputs = 64;

class PhaseConvPlan final : public ForwardPlan {
 public:
  PhaseConvPlan(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool,
                const DeconvProblem& problem, DType multiplied_as, PhaseConvParts parts,
                Weave weave)
      : runtime_(std::move(runtime)),
        pool_(pool),
        problem_(problem),
        axes_(SpatialAxes(problem)),
        multiplied_as_(multiplied_as),
        is_planar_(IsPlanar(problem)),
        parts_(std::move(parts)),
        weave_(std::move(weave)),
        expected_time_(ExpectedTime(problem)),
        zeros_(static_cast<size_t>(problem.out_channels), 0.0f),
        scratch_bytes_(ScratchBytes()) {
    FindGaps();
  }

  Status Execute(ConstTensorView src, TensorView dst) const override {
    if (src.dtype == multiplied_as_ && !is_planar_) return ExecuteAsMultiplied(src, dst);
    TCONV_ASSIGN_OR_RETURN(Tensor images, Tensor::Allocate(multiplied_as_, src.shape));
    const TensorView pixels = images.mutable_view();
    TCONV_RETURN_IF_ERROR(
        is_planar_ ? PlanesToPixels(pool_, src, problem_.batch, problem_.in_channels, pixels)
                   : ConvertOnPool(pool_, src, pixels));
    return ExecuteAsMultiplied(images.view(), dst);
  }

  int64_t bytes_held() const override {
    return static_cast<int64_t>(parts_.tile_convolutions.size()) * kPrimitiveBytes;
  }

  std::vector<SharedPart> shared_parts() const override {
    std::vector<SharedPart> parts;
    for (const TileConvolution& convolution : parts_.tile_convolutions) {
      const SharedPart part = AsSharedPart(convolution.weights);
      const auto is_same = [&](const SharedPart& other) { return other.identity == part.identity; };
      if (std::none_of(parts.begin(), parts.end(), is_same)) parts.push_back(part);
    }
    return parts;
  }

 private:
  // A part of an output row while it is computed, [output][filter]: in the image
  // or, when that has planes, in scratch.
  struct Row {
    std::byte* data;
    int64_t stride;  // from one output to the next, in elements
  };

  // `src` is channels_last and of the type that is multiplied.
  Status ExecuteAsMultiplied(ConstTensorView src, TensorView dst) const {
    const auto tasks = static_cast<int64_t>(parts_.tasks.size());
    const int64_t image_sets = CeilDiv(problem_.batch, parts_.images_per_task);
    const int64_t gap_fills = has_gaps_ ? problem_.batch : 0;
    return pool_.Run({image_sets * tasks + gap_fills, scratch_bytes_, expected_time_},
                     [&](int64_t index, std::byte* scratch) -> Status {
                       if (index >= image_sets * tasks) {
                         FillGaps(dst.data + (index - image_sets * tasks) * ImageBytes(dst),
                                  scratch);
                         return OkStatus();
                       }
                       return CallOneDnn([&] {
                         ExecuteTask(parts_.tasks[static_cast<size_t>(index % tasks)],
                                     index / tasks, src, dst, scratch);
                         return OkStatus();
                       });
                     });
  }

  int64_t ImageBytes(ConstTensorView images) const { return images.size_bytes() / problem_.batch; }

  // The scratch holds the sums of all tiles; what follows is of use to each
  // convolution and then to the row that is woven.
  size_t ScratchBytes() const {
    size_t bytes = RowBytes(GapPart(0));
    for (const PhaseTask& task : parts_.tasks) {
      size_t rest = RowBytes(task.part);
      for (const TileSums& sums : task.tiles) {
        const PhaseTile& tile = TileOf(sums);
        for (const size_t i : {tile.convolution, tile.last_convolution}) {
          rest = std::max(rest, parts_.tile_convolutions[i].primitive.scratchpad_bytes());
        }
      }
      bytes = std::max(bytes, task.sums_bytes + rest);
    }
    return bytes;
  }

  size_t RowBytes(const RowPart& part) const {
    return is_planar_ ? Bytes(part.outputs * part.filters) : 0;
  }

  size_t Bytes(int64_t elements) const {
    return static_cast<size_t>(elements) * weave_.element_bytes();
  }

  const PhaseTile& TileOf(const TileSums& sums) const {
    return parts_.convolutions[sums.convolution].tiles[sums.tile];
  }

  void ExecuteTask(const PhaseTask& task, int64_t image_set, ConstTensorView src, TensorView dst,
                   std::byte* scratch) const {
    const int64_t first_image = image_set * parts_.images_per_task;
    const int64_t images = std::min(parts_.images_per_task, problem_.batch - first_image);
    std::byte* rest = scratch + task.sums_bytes;
    for (const TileSums& sums : task.tiles) {
      Convolve(sums, images, src.data + first_image * ImageBytes(src), ImageBytes(src),
               scratch + sums.offset_bytes, rest);
    }
    for (int64_t n = 0; n < images; ++n) {
      WeaveImage(task, n, scratch, dst.data + (first_image + n) * ImageBytes(dst), rest);
    }
  }

  // Computes the sums of a tile for a set of images.
  void Convolve(const TileSums& of, int64_t images, const std::byte* src, int64_t image_bytes,
                std::byte* sums, std::byte* scratchpad) const {
    const PhaseTile& tile = TileOf(of);
    const bool is_full_set = images == parts_.images_per_task;
    const TileConvolution& convolution =
        parts_.tile_convolutions[is_full_set ? tile.convolution : tile.last_convolution];
    const PackedWeights& weights = *convolution.weights;
    // Everything inside of the tile axis.
    const int64_t input_row_bytes = image_bytes / axes_[parts_.tile_axis].in;
    const std::byte* tile_src = src + tile.first_input * input_row_bytes;
    convolution.primitive.Execute(runtime_->engine(),
                                  {{DNNL_ARG_SRC, convolution.src_desc, tile_src},
                                   {DNNL_ARG_WEIGHTS, weights.desc, weights.data.view().data},
                                   {DNNL_ARG_DST, convolution.dst_desc, sums}},
                                  scratchpad);
  }

  // Weaves the sums of image number `n` of a set.
  void WeaveImage(const PhaseTask& task, int64_t n, const std::byte* scratch, std::byte* image,
                  std::byte* row_scratch) const {
    // Rows in scratch have the gaps of all rows.
    if (is_planar_) FillRow(task.part, RowAt(task.part, image, 0, 0, row_scratch), true);
    const PhaseGroup& d = TileOf(task.tiles.front()).phases[0];
    const PhaseGroup& h = TileOf(task.tiles.front()).phases[1];
    for (int64_t position = 0; position < d.positions * h.positions; ++position) {
      for (int64_t phase = 0; phase < d.phases * h.phases; ++phase) {
        const int64_t od = OutputOf(axes_[0], d.first_position + position / h.positions,
                                    d.first_phase + phase / h.phases);
        const int64_t oh = OutputOf(axes_[1], h.first_position + position % h.positions,
                                    h.first_phase + phase % h.phases);
        if (od < 0 || od >= axes_[0].out || oh < 0 || oh >= axes_[1].out) continue;
        const Row row = RowAt(task.part, image, od, oh, row_scratch);
        for (const TileSums& sums : task.tiles) {
          const int64_t row_number = n * d.positions * h.positions + position;
          WeaveRow(sums, SumsOfRow(sums, scratch, row_number, phase), task.part, row);
        }
        if (is_planar_) WritePlanes(task.part, row, image, od, oh);
      }
    }
  }

  // Of sums [row of positions][position of w][phase of d and h][phase of w][filter].
  const float* SumsOfRow(const TileSums& of, const std::byte* scratch, int64_t row_number,
                         int64_t phase) const {
    const PhaseConvolution& convolution = parts_.convolutions[of.convolution];
    const PhaseGroup& w = TileOf(of).phases[2];
    return reinterpret_cast<const float*>(scratch + of.offset_bytes) +
           row_number * w.positions * convolution.channels + phase * w.phases * convolution.filters;
  }

  // The sums of a row of positions lie `channels` apart, each with its phases in
  // order.
  void WeaveRow(const TileSums& of, const float* sums, const RowPart& part, const Row& row) const {
    const PhaseGroup& w = TileOf(of).phases[2];
    const AxisGeometry& axis = axes_[2];
    const int64_t stride = parts_.convolutions[of.convolution].channels;
    const auto weave = [&](int64_t p, int64_t positions, int64_t first_phase, int64_t phases) {
      // Phases follow each other in the output if their filters are complete.
      const int64_t joined = part.filters == problem_.out_channels ? phases : 1;
      for (int64_t phase = first_phase; phase < first_phase + phases; phase += joined) {
        const int64_t out = OutputOf(axis, p, w.first_phase + phase) - part.first_output;
        const RowsOfSums rows = {sums + (p - w.first_position) * stride + phase * part.filters,
                                 static_cast<size_t>(stride), static_cast<size_t>(positions),
                                 static_cast<size_t>(joined * part.filters)};
        weave_.FinishRows(rows, static_cast<size_t>(part.first_filter),
                          row.data + Bytes(out * row.stride),
                          static_cast<size_t>(axis.stride * row.stride));
      }
    };
    const Range positions = {w.first_position, w.first_position + w.positions};
    ForEachSpan(axis, w.first_phase, w.phases, positions, weave);
  }

  // The first output of a part in the order of positions.
  int64_t FirstOutput(const RowPart& part, int64_t od, int64_t oh) const {
    return (od * axes_[1].out + oh) * axes_[2].out + part.first_output;
  }

  Row RowAt(const RowPart& part, std::byte* image, int64_t od, int64_t oh,
            std::byte* row_scratch) const {
    if (is_planar_) return {row_scratch, part.filters};
    const int64_t channels = problem_.out_channels;
    return {image + Bytes(FirstOutput(part, od, oh) * channels + part.first_filter), channels};
  }

  void WritePlanes(const RowPart& part, const Row& row, std::byte* image, int64_t od,
                   int64_t oh) const {
    const int64_t plane = axes_[0].out * axes_[1].out * axes_[2].out;
    weave_.WriteRuns(problem_.dtype, row.data, static_cast<size_t>(part.outputs),
                     static_cast<size_t>(part.filters),
                     image + Bytes(part.first_filter * plane + FirstOutput(part, od, oh)),
                     static_cast<size_t>(plane));
  }

  // Gaps are the outputs that no convolution computes.
  void FindGaps() {
    for (size_t axis = 0; axis < 3; ++axis) {
      std::vector<PhaseGroup> groups;
      for (const auto& convolution : parts_.convolutions) {
        groups.push_back(convolution.phases[axis]);
      }
      is_covered_[axis] = CoverageOf(axes_[axis], groups);
      has_gaps_ |= std::count(is_covered_[axis].begin(), is_covered_[axis].end(), false) > 0;
    }
  }

  RowPart GapPart(int64_t first_output) const {
    return {first_output, std::min(kGapOutputs, axes_[2].out - first_output), 0,
            problem_.out_channels};
  }

  void FillGaps(std::byte* image, std::byte* row_scratch) const {
    for (int64_t od = 0; od < axes_[0].out; ++od) {
      for (int64_t oh = 0; oh < axes_[1].out; ++oh) {
        const bool is_row_covered =
            is_covered_[0][static_cast<size_t>(od)] && is_covered_[1][static_cast<size_t>(oh)];
        if (is_planar_ && is_row_covered) continue;  // left to the tasks
        for (int64_t ow = 0; ow < axes_[2].out; ow += kGapOutputs) {
          const RowPart part = GapPart(ow);
          const Row row = RowAt(part, image, od, oh, row_scratch);
          FillRow(part, row, is_row_covered);
          if (is_planar_) WritePlanes(part, row, image, od, oh);
        }
      }
    }
  }

  // Fills the gaps of a row; one that is not covered is nothing else.
  void FillRow(const RowPart& part, const Row& row, bool is_row_covered) const {
    const auto is_gap = [&](int64_t i) {
      return !is_row_covered || !is_covered_[2][static_cast<size_t>(part.first_output + i)];
    };
    for (int64_t begin = 0, end = 0; begin < part.outputs; begin = end) {
      for (end = begin; end < part.outputs && is_gap(end);) ++end;
      const RowsOfSums no_sums = {zeros_.data(), 0, static_cast<size_t>(end - begin),
                                  static_cast<size_t>(part.filters)};
      weave_.FinishRows(no_sums, static_cast<size_t>(part.first_filter),
                        row.data + Bytes(begin * row.stride), static_cast<size_t>(row.stride));
      while (end < part.outputs && !is_gap(end)) ++end;
    }
  }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const DeconvProblem problem_;
  const std::array<AxisGeometry, 3> axes_;
  const DType multiplied_as_;
  const bool is_planar_;
  const PhaseConvParts parts_;
  const Weave weave_;
  const std::chrono::nanoseconds expected_time_;
  const std::vector<float> zeros_;  // [out_channels]
  const size_t scratch_bytes_;
  std::array<std::vector<bool>, 3> is_covered_;
  bool has_gaps_ = false;
};

}  // namespace

std::unique_ptr<const ForwardPlan> MakePhaseConvPlan(std::shared_ptr<const OneDnnRuntime> runtime,
                                                     WorkerPool& pool, const DeconvProblem& problem,
                                                     DType multiplied_as, PhaseConvParts parts,
                                                     Weave weave) {
  return std::make_unique<const PhaseConvPlan>(std::move(runtime), pool, problem, multiplied_as,
                                               std::move(parts), std::move(weave));
}

}  // namespace tconv::server
