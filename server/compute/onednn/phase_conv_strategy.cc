// Phase convolution: each output phase is an ordinary dense convolution with
// stride 1, computed by tiles into scratch memory and woven into the output.
// Only taps that land in the image are multiplied.
#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "server/compute/cost_model.h"
#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/phase_conv_plan.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/phases.h"
#include "server/compute/strategies.h"
#include "server/compute/tiles.h"
#include "server/compute/weave.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

using dnnl::memory;
using Convolution = dnnl::convolution_forward;

// The part of the weights behind a convolution: first phase and phase count of
// each axis, first filter and filter count, the dtype, and which of the layouts
// that kernels have wanted.
using WeightsPart = std::array<int64_t, 10>;

// The axis along which images are cut. Those outside of it have one input
// position, so that a cut is contiguous memory.
size_t TileAxisOf(const std::array<AxisGeometry, 3>& axes) {
  if (axes[0].in > 1) return 0;
  return axes[1].in > 1 ? 1 : 2;
}

// Makes the parts of a plan. Throws dnnl::error.
class PlanBuilder {
 public:
  PlanBuilder(const OneDnnRuntime& runtime, PackedWeightsIndex<WeightsPart>& packed_weights,
              const DeconvProblem& problem, std::shared_ptr<const Weights> weights,
              DType multiplied_as)
      : runtime_(runtime),
        packed_weights_(packed_weights),
        problem_(problem),
        axes_(SpatialAxes(problem)),
        weights_(std::move(weights)),
        multiplied_as_(multiplied_as),
        kernel_(weights_->kernel.view(), problem.dtype, multiplied_as),
        first_axis_(problem.axes.size() == 3 ? 0 : 1) {}

  StatusOr<PhaseConvParts> Build() {
    parts_.tile_axis = TileAxisOf(axes_);
    parts_.images_per_task = problem_.batch;
    std::array<std::vector<PhaseGroup>, 3> groups;
    for (size_t i = 0; i < 3; ++i) {
      groups[i] = PhaseGroupsOf(axes_[i], MergesPhases(axes_[i], problem_.out_channels));
    }
    for (const PhaseGroup& d : groups[0]) {
      for (const PhaseGroup& h : groups[1]) {
        std::vector<Phases> row;
        for (const PhaseGroup& w : groups[2]) row.push_back({d, h, w});
        AddRow(row);
      }
    }
    for (PhaseConvolution& convolution : parts_.convolutions) {
      TCONV_RETURN_IF_ERROR(Prepare(convolution));
    }
    PlaceSums();
    return std::move(parts_);
  }

 private:
  // Adds the phases that make an output row.
  void AddRow(const std::vector<Phases>& row) {
    if (IsPlanar(problem_) && !row.empty()) return AddTogether(row);
    for (const Phases& phases : row) AddTogether({phases});
  }

  // Adds the convolutions of phases that are woven together.
  void AddTogether(const std::vector<Phases>& together) {
    const int64_t filters = problem_.out_channels;
    int64_t filters_per_set = filters;
    for (const Phases& phases : together) {
      const int64_t bytes = WeightsPerFilter(phases) * static_cast<int64_t>(SizeOf(multiplied_as_));
      filters_per_set = std::min(filters_per_set, FiltersPerSet(problem_, bytes));
    }
    for (int64_t first = 0; first < filters; first += filters_per_set) {
      AddTasks(together, first, std::min(filters_per_set, filters - first));
    }
  }

  int64_t WeightsPerFilter(const Phases& phases) const {
    int64_t weights = problem_.in_channels;
    for (const PhaseGroup& group : phases) weights *= group.phases * group.taps;
    return weights;
  }

  // Positions along the tile axis.
  struct Cut {
    int64_t begin;
    int64_t end;
  };

  // Adds the convolutions of one set of filters and the tasks that they are cut
  // into.
  void AddTasks(const std::vector<Phases>& together, int64_t first_filter, int64_t filters) {
    std::vector<PhaseConvolution> convolutions;
    for (const Phases& phases : together) {
      convolutions.push_back(MakeConvolution(phases, first_filter, filters));
    }
    const Cut cut = CutOf(together);
    const TileCost cost = CostOf(convolutions, cut.end - cut.begin);
    const int64_t rows = RowsPerTile(cost);
    for (int64_t row = cut.begin; row < cut.end; row += rows) {
      parts_.tasks.push_back(MakeTask(cut, {row, std::min(row + rows, cut.end)}, convolutions));
    }
    parts_.images_per_task =
        std::min(parts_.images_per_task, rows < cost.rows ? 1 : FittingImages(cost));
    std::move(convolutions.begin(), convolutions.end(), std::back_inserter(parts_.convolutions));
  }

  static PhaseConvolution MakeConvolution(const Phases& phases, int64_t first_filter,
                                          int64_t filters) {
    PhaseConvolution convolution;
    convolution.phases = phases;
    convolution.first_filter = first_filter;
    convolution.filters = filters;
    convolution.channels = filters;
    for (const PhaseGroup& group : phases) convolution.channels *= group.phases;
    return convolution;
  }

  // Those of all phases, whose positions overlap.
  Cut CutOf(const std::vector<Phases>& together) const {
    Cut cut = {together.front()[parts_.tile_axis].first_position, 0};
    for (const Phases& phases : together) {
      const PhaseGroup& group = phases[parts_.tile_axis];
      cut.begin = std::min(cut.begin, group.first_position);
      cut.end = std::max(cut.end, group.first_position + group.positions);
    }
    return cut;
  }

  // The task of one tile, which it adds to convolutions that are to be added.
  PhaseTask MakeTask(const Cut& cut, const Cut& tile,
                     std::vector<PhaseConvolution>& convolutions) const {
    PhaseTask task;
    task.part = {0, axes_[2].out, convolutions.front().first_filter, convolutions.front().filters};
    if (parts_.tile_axis == 2) CutOutputs(cut, tile, task.part);
    for (size_t c = 0; c < convolutions.size(); ++c) {
      if (!AddTile(tile, convolutions[c])) continue;
      task.tiles.push_back({parts_.convolutions.size() + c, convolutions[c].tiles.size() - 1});
    }
    return task;
  }

  // Takes the outputs of the tiles of a width that is cut. Gaps before the first
  // and behind the last position belong to the tiles there.
  void CutOutputs(const Cut& cut, const Cut& tile, RowPart& part) const {
    const AxisGeometry& width = axes_[2];
    const auto first_output = [&](int64_t position) {
      return std::clamp<int64_t>(width.stride * position - width.crop_begin, 0, width.out);
    };
    part.first_output = tile.begin == cut.begin ? 0 : first_output(tile.begin);
    part.outputs = (tile.end == cut.end ? width.out : first_output(tile.end)) - part.first_output;
  }

  // False if the convolution has no positions there.
  bool AddTile(const Cut& cut, PhaseConvolution& convolution) const {
    PhaseTile tile;
    tile.phases = convolution.phases;
    PhaseGroup& group = tile.phases[parts_.tile_axis];
    const int64_t end = std::min(cut.end, group.first_position + group.positions);
    group.first_position = std::max(cut.begin, group.first_position);
    group.positions = end - group.first_position;
    if (group.positions <= 0) return false;
    const int64_t reach = (group.taps - 1) * group.tap_distance;
    tile.first_input = std::max<int64_t>(0, group.first_position - reach);
    tile.inputs = std::min(axes_[parts_.tile_axis].in, end) - tile.first_input;
    convolution.tiles.push_back(tile);
    return true;
  }

  // Of `rows` rows along the tile axis.
  TileCost CostOf(const std::vector<PhaseConvolution>& together, int64_t rows) const {
    TileCost cost;
    cost.rows = rows;
    for (const PhaseConvolution& convolution : together) {
      int64_t positions = 1;
      int64_t taps = 1;
      for (size_t i = 0; i < 3; ++i) {
        if (i != parts_.tile_axis) positions *= convolution.phases[i].positions;
        taps *= convolution.phases[i].taps;
      }
      const int64_t sums = positions * convolution.channels;
      cost.positions = std::max(cost.positions, positions);
      cost.scratch_bytes += sums * static_cast<int64_t>(sizeof(float));
      cost.multiplications += sums * taps * problem_.in_channels;
    }
    return cost;
  }

  // Images for one task when the rows of each are a single tile.
  int64_t FittingImages(const TileCost& cost) const {
    TileCost image = cost;
    image.rows = problem_.batch;
    image.positions *= cost.rows;
    image.scratch_bytes *= cost.rows;
    return ImagesPerTask(image);
  }

  // Makes the primitives of the tiles.
  Status Prepare(PhaseConvolution& convolution) {
    const int64_t rest = problem_.batch % parts_.images_per_task;
    for (PhaseTile& tile : convolution.tiles) {
      TCONV_ASSIGN_OR_RETURN(tile.convolution,
                             TileConvolutionFor(convolution, tile, parts_.images_per_task));
      if (rest == 0) continue;
      TCONV_ASSIGN_OR_RETURN(tile.last_convolution, TileConvolutionFor(convolution, tile, rest));
    }
    return OkStatus();
  }

  WeightsPart PartOf(const PhaseConvolution& convolution, int64_t layout) const {
    WeightsPart part;
    for (size_t i = 0; i < 3; ++i) {
      part[2 * i] = convolution.phases[i].first_phase;
      part[2 * i + 1] = convolution.phases[i].phases;
    }
    part[6] = convolution.first_filter;
    part[7] = convolution.filters;
    part[8] = static_cast<int64_t>(multiplied_as_);
    part[9] = layout;
    return part;
  }

  // The convolution reads its taps in ascending order of inputs, that is in
  // descending order of the taps of the kernel.
  StatusOr<std::shared_ptr<const PackedWeights>> Pack(const PhaseConvolution& convolution,
                                                      const memory::desc& packed_desc) {
    const auto& [d, h, w] = convolution.phases;
    const int64_t taps = d.taps * h.taps * w.taps;
    TCONV_ASSIGN_OR_RETURN(const ConstTensorView kernel, kernel_.view());
    TCONV_ASSIGN_OR_RETURN(
        Tensor plain,
        Tensor::Allocate(multiplied_as_, Shape{taps, convolution.channels, problem_.in_channels}));
    const auto filter_bytes = static_cast<size_t>(problem_.in_channels) * SizeOf(multiplied_as_);
    const size_t set_bytes = static_cast<size_t>(convolution.filters) * filter_bytes;
    std::byte* out = plain.mutable_view().data;
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t td = tap / (h.taps * w.taps);
      const int64_t th = tap / w.taps % h.taps;
      const int64_t tw = tap % w.taps;
      for (int64_t i = 0; i < d.phases * h.phases * w.phases; ++i) {
        const int64_t kd = KernelTap(axes_[0], d, i / (h.phases * w.phases), td);
        const int64_t kh = KernelTap(axes_[1], h, i / w.phases % h.phases, th);
        const int64_t kw = KernelTap(axes_[2], w, i % w.phases, tw);
        const int64_t kernel_tap = (kd * axes_[1].kernel + kh) * axes_[2].kernel + kw;
        const int64_t filter = kernel_tap * problem_.out_channels + convolution.first_filter;
        std::memcpy(out, kernel.data + static_cast<size_t>(filter) * filter_bytes, set_bytes);
        out += set_bytes;
      }
    }
    memory::dims strides = {problem_.in_channels, 1};
    memory::dims tap_strides = {h.taps * w.taps, w.taps, 1};
    for (size_t i = first_axis_; i < 3; ++i) {
      strides.push_back(tap_strides[i] * convolution.channels * problem_.in_channels);
    }
    const memory::desc plain_desc(WeightDims(convolution), OneDnnTypeOf(multiplied_as_), strides);
    TCONV_ASSIGN_OR_RETURN(Tensor packed,
                           runtime_.Reordered(plain.view().data, plain_desc, packed_desc));
    return std::make_shared<const PackedWeights>(PackedWeights{std::move(packed), packed_desc});
  }

  // The kernel's tap behind tap number `t` of the convolution.
  static int64_t KernelTap(const AxisGeometry& axis, const PhaseGroup& group, int64_t phase,
                           int64_t t) {
    return group.first_phase + phase + axis.stride * (group.taps - 1 - t);
  }

  memory::dims WeightDims(const PhaseConvolution& convolution) const {
    memory::dims dims = {convolution.channels, problem_.in_channels};
    for (size_t i = first_axis_; i < 3; ++i) dims.push_back(convolution.phases[i].taps);
    return dims;
  }

  Convolution::primitive_desc MakeDesc(const PhaseConvolution& convolution, const PhaseTile& tile,
                                       int64_t images, const memory::desc& weights_desc) const {
    memory::dims src = {images, problem_.in_channels};
    memory::dims dst = {images, convolution.channels};
    memory::dims strides, dilations, padding_begin, padding_end;
    for (size_t i = first_axis_; i < 3; ++i) {
      const PhaseGroup& group = tile.phases[i];
      const bool is_cut = i == parts_.tile_axis;
      const int64_t inputs = is_cut ? tile.inputs : axes_[i].in;
      const int64_t first_input = is_cut ? tile.first_input : 0;
      const int64_t reach = (group.taps - 1) * group.tap_distance;
      const int64_t padding = first_input + reach - group.first_position;
      src.push_back(inputs);
      dst.push_back(group.positions);
      strides.push_back(1);
      dilations.push_back(group.tap_distance - 1);
      padding_begin.push_back(padding);
      padding_end.push_back(group.positions + reach - inputs - padding);
    }
    const auto layout = first_axis_ == 0 ? memory::format_tag::ndhwc : memory::format_tag::nhwc;
    return MakePrimitiveDesc<Convolution>(
        runtime_.engine(), ScratchpadFromCaller(), dnnl::prop_kind::forward_inference,
        dnnl::algorithm::convolution_direct,
        memory::desc(src, OneDnnTypeOf(multiplied_as_), layout), weights_desc,
        memory::desc(dst, memory::data_type::f32, layout), strides, dilations, padding_begin,
        padding_end);
  }

  // The index of the convolution for a tile; tiles of one size share one.
  StatusOr<size_t> TileConvolutionFor(const PhaseConvolution& convolution, const PhaseTile& tile,
                                      int64_t images) {
    const PhaseGroup& cut = tile.phases[parts_.tile_axis];
    const int64_t offset = tile.first_input - cut.first_position;
    const SizeKey key = {PartOf(convolution, 0), {images, cut.positions, tile.inputs, offset}};
    const auto found = by_size_.find(key);
    if (found != by_size_.end()) return found->second;
    TCONV_ASSIGN_OR_RETURN(TileConvolution made, MakeTileConvolution(convolution, tile, images));
    const size_t index = parts_.tile_convolutions.size();
    parts_.tile_convolutions.push_back(std::move(made));
    by_size_[key] = index;
    return index;
  }

  // With weights that another size or plan has packed, if a fast kernel takes
  // their layout; else with weights packed as this size wants them.
  StatusOr<TileConvolution> MakeTileConvolution(const PhaseConvolution& convolution,
                                                const PhaseTile& tile, int64_t images) {
    const memory::desc any(WeightDims(convolution), OneDnnTypeOf(multiplied_as_),
                           memory::format_tag::any);
    for (int64_t layout = 0;; ++layout) {
      const WeightsPart part = PartOf(convolution, layout);
      std::shared_ptr<const PackedWeights> weights = packed_weights_.Find(weights_, part);
      const bool is_new = weights == nullptr;
      const auto desc = MakeDesc(convolution, tile, images, is_new ? any : weights->desc);
      if (is_new) {
        TCONV_ASSIGN_OR_RETURN(weights, Pack(convolution, desc.weights_desc()));
        packed_weights_.Put(weights_, part, weights);
      } else if (IsReference(desc) && !IsReference(MakeDesc(convolution, tile, images, any))) {
        continue;
      }
      return TileConvolution{SharedPrimitive(desc), desc.src_desc(), desc.dst_desc(),
                             std::move(weights)};
    }
  }

  // The sums of a task's tiles lie one after the other.
  void PlaceSums() {
    for (PhaseTask& task : parts_.tasks) {
      for (TileSums& sums : task.tiles) {
        const PhaseTile& tile = parts_.convolutions[sums.convolution].tiles[sums.tile];
        sums.offset_bytes = task.sums_bytes;
        task.sums_bytes +=
            RoundUpToAlignment(parts_.tile_convolutions[tile.convolution].dst_desc.get_size());
      }
    }
  }

  using SizeKey = std::pair<WeightsPart, std::array<int64_t, 4>>;

  const OneDnnRuntime& runtime_;
  PackedWeightsIndex<WeightsPart>& packed_weights_;
  const DeconvProblem& problem_;
  const std::array<AxisGeometry, 3> axes_;
  const std::shared_ptr<const Weights> weights_;
  const DType multiplied_as_;
  LazyCastWeight kernel_;    // in that type
  const size_t first_axis_;  // that oneDNN sees
  PhaseConvParts parts_;
  std::map<SizeKey, size_t> by_size_;
};

class PhaseConvStrategy final : public Strategy {
 public:
  PhaseConvStrategy(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)), pool_(pool) {}

  std::string_view name() const override { return "phase_conv"; }

  Status Supports(const DeconvProblem& problem) const override {
    TCONV_RETURN_IF_ERROR(FitsOneDnn(problem));
    for (const AxisGeometry& axis : problem.axes) {
      if (IsStridedAndDilated(axis)) {
        return MakeError(StatusCode::kUnimplemented, "strides and dilation on one axis");
      }
    }
    return OkStatus();
  }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return PhaseConvTime(problem);
  }

  bool FinishesWholePositions(const DeconvProblem&) const override { return true; }

  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const override {
    TCONV_ASSIGN_OR_RETURN(Weave weave, Weave::Make(problem, *weights));
    const DType multiplied_as = MultipliedAs(problem.dtype);
    std::unique_ptr<const ForwardPlan> plan;
    TCONV_RETURN_IF_ERROR(CallOneDnn([&]() -> Status {
      PlanBuilder builder(*runtime_, packed_weights_, problem, weights, multiplied_as);
      TCONV_ASSIGN_OR_RETURN(PhaseConvParts parts, builder.Build());
      plan = MakePhaseConvPlan(runtime_, pool_, problem, multiplied_as, std::move(parts),
                               std::move(weave));
      return OkStatus();
    }));
    return plan;
  }

 private:
  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  mutable PackedWeightsIndex<WeightsPart> packed_weights_;
};

}  // namespace

std::unique_ptr<const Strategy> MakePhaseConvStrategy(std::shared_ptr<const OneDnnRuntime> runtime,
                                                      WorkerPool& pool) {
  return std::make_unique<const PhaseConvStrategy>(std::move(runtime), pool);
}

}  // namespace tconv::server
