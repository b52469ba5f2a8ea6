#include "server/compute/onednn/phase_conv_plan.h"

#include <algorithm>
#include <utility>

#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

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
        parts_(std::move(parts)),
        weave_(std::move(weave)),
        zeros_(static_cast<size_t>(problem.out_channels), 0.0f) {
    for (size_t c = 0; c < parts_.convolutions.size(); ++c) {
      for (size_t t = 0; t < parts_.convolutions[c].tiles.size(); ++t) tiles_.push_back({c, t});
    }
    FindGaps();
  }

  Status Execute(ConstTensorView src, TensorView dst) const override {
    if (src.dtype == multiplied_as_) return ExecuteAsMultiplied(src, dst);
    TCONV_ASSIGN_OR_RETURN(const Tensor wide,
                           ConvertImages(pool_, src, problem_.batch, multiplied_as_));
    return ExecuteAsMultiplied(wide.view(), dst);
  }

  int64_t bytes_held() const override {
    return static_cast<int64_t>(parts_.tile_convolutions.size()) * kPrimitiveBytes;
  }

  std::vector<SharedPart> shared_parts() const override {
    std::vector<SharedPart> parts;
    for (const PhaseConvolution& convolution : parts_.convolutions) {
      parts.push_back(AsSharedPart(convolution.weights));
    }
    return parts;
  }

 private:
  struct TileIndex {
    size_t convolution;
    size_t tile;
  };

  // `src` is of the type that is multiplied.
  Status ExecuteAsMultiplied(ConstTensorView src, TensorView dst) const {
    const auto tiles = static_cast<int64_t>(tiles_.size());
    const int64_t image_sets = CeilDiv(problem_.batch, parts_.images_per_task);
    const int64_t gap_fills = has_gaps_ ? problem_.batch : 0;
    return pool_.Run({image_sets * tiles + gap_fills, parts_.scratch_bytes, ExpectedTime(problem_)},
                     [&](int64_t task, std::byte* scratch) -> Status {
                       if (task >= image_sets * tiles) {
                         FillGaps(dst.data + (task - image_sets * tiles) * ImageBytes(dst));
                         return OkStatus();
                       }
                       const TileIndex index = tiles_[static_cast<size_t>(task % tiles)];
                       return CallOneDnn([&] {
                         ExecuteTile(parts_.convolutions[index.convolution], index.tile,
                                     task / tiles, src, dst, scratch);
                         return OkStatus();
                       });
                     });
  }

  int64_t ImageBytes(ConstTensorView images) const { return images.size_bytes() / problem_.batch; }

  void ExecuteTile(const PhaseConvolution& convolution, size_t tile_index, int64_t image_set,
                   ConstTensorView src, TensorView dst, std::byte* scratch) const {
    const PhaseTile& tile = convolution.tiles[tile_index];
    const int64_t first_image = image_set * parts_.images_per_task;
    const int64_t images = std::min(parts_.images_per_task, problem_.batch - first_image);
    const TileConvolution& tile_convolution =
        parts_.tile_convolutions[images == parts_.images_per_task ? tile.convolution
                                                                  : tile.last_convolution];
    // Everything inside of the tile axis.
    const int64_t input_row_bytes = ImageBytes(src) / axes_[parts_.tile_axis].in;
    const std::byte* tile_src =
        src.data + first_image * ImageBytes(src) + tile.first_input * input_row_bytes;
    const size_t sums_bytes = tile_convolution.dst_desc.get_size();
    tile_convolution.primitive.Execute(
        runtime_->engine(),
        {{DNNL_ARG_SRC, tile_convolution.src_desc, tile_src},
         {DNNL_ARG_WEIGHTS, convolution.weights->desc, convolution.weights->data.view().data},
         {DNNL_ARG_DST, tile_convolution.dst_desc, scratch}},
        scratch + RoundUpToAlignment(sums_bytes));

    const auto* sums = reinterpret_cast<const float*>(scratch);
    const auto sums_of_image = static_cast<int64_t>(sums_bytes / sizeof(float)) / images;
    for (int64_t n = 0; n < images; ++n) {
      WeaveTile(convolution, tile, sums + n * sums_of_image,
                dst.data + (first_image + n) * ImageBytes(dst));
    }
  }

  // sums: [positions of d, h, w][phases of d, h, w][filter]
  void WeaveTile(const PhaseConvolution& convolution, const PhaseTile& tile, const float* sums,
                 std::byte* dst) const {
    Phases phases = convolution.phases;
    phases[parts_.tile_axis].first_position = tile.first_position;
    phases[parts_.tile_axis].positions = tile.positions;
    const auto& [d, h, w] = phases;
    const int64_t row_size = w.positions * convolution.channels;
    const int64_t block_size = w.phases * convolution.filters;
    for (int64_t pd = 0; pd < d.positions; ++pd) {
      for (int64_t ph = 0; ph < h.positions; ++ph, sums += row_size) {
        for (int64_t i = 0; i < d.phases * h.phases; ++i) {
          const int64_t od = OutputOf(axes_[0], d, pd, i / h.phases);
          const int64_t oh = OutputOf(axes_[1], h, ph, i % h.phases);
          if (od < 0 || od >= axes_[0].out || oh < 0 || oh >= axes_[1].out) continue;
          WeaveRow(convolution, w, sums + i * block_size, OutputRow(dst, od, oh));
        }
      }
    }
  }

  // The sums of a row of positions lie `channels` apart, each with its phases in
  // order.
  void WeaveRow(const PhaseConvolution& convolution, const PhaseGroup& w, const float* sums,
                std::byte* row) const {
    const AxisGeometry& axis = axes_[2];
    const int64_t stride = convolution.channels;
    const int64_t filters = convolution.filters;
    const auto weave = [&](int64_t p, int64_t positions, int64_t first_phase, int64_t phases) {
      const int64_t out = OutputOf(axis, w, p, first_phase);
      const RowsOfSums rows = {sums + p * stride + first_phase * filters,
                               static_cast<size_t>(stride), static_cast<size_t>(positions),
                               static_cast<size_t>(phases * filters)};
      const int64_t offset = out * problem_.out_channels + convolution.first_filter;
      weave_.FinishRows(rows, static_cast<size_t>(convolution.first_filter),
                        row + static_cast<size_t>(offset) * weave_.element_bytes(),
                        static_cast<size_t>(axis.stride * problem_.out_channels));
    };
    // Positions at the edges may have phases outside of the output.
    int64_t begin = 0;
    int64_t end = w.positions;
    const auto weave_edge = [&](int64_t p) {
      const int64_t out = OutputOf(axis, w, p, 0);
      const int64_t first = std::max<int64_t>(0, -out);
      const int64_t last = std::min(w.phases, axis.out - out);
      if (first < last) weave(p, 1, first, last - first);
    };
    while (begin < end && OutputOf(axis, w, begin, 0) < 0) weave_edge(begin++);
    while (begin < end && OutputOf(axis, w, end - 1, w.phases - 1) >= axis.out) weave_edge(--end);
    if (begin < end) weave(begin, end - begin, 0, w.phases);
  }

  // Where phase number `phase` of a group's position number `p` lands.
  static int64_t OutputOf(const AxisGeometry& axis, const PhaseGroup& group, int64_t p,
                          int64_t phase) {
    return axis.stride * (group.first_position + p) + group.first_phase + phase - axis.crop_begin;
  }

  std::byte* OutputRow(std::byte* image, int64_t od, int64_t oh) const {
    const int64_t row = od * axes_[1].out + oh;
    return image +
           static_cast<size_t>(row * axes_[2].out * problem_.out_channels) * weave_.element_bytes();
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

  void FillGaps(std::byte* image) const {
    const auto filters = static_cast<size_t>(problem_.out_channels);
    const RowsOfSums no_sums = {zeros_.data(), 0, 1, filters};
    for (size_t od = 0; od < is_covered_[0].size(); ++od) {
      for (size_t oh = 0; oh < is_covered_[1].size(); ++oh) {
        std::byte* row = OutputRow(image, static_cast<int64_t>(od), static_cast<int64_t>(oh));
        const bool is_row_covered = is_covered_[0][od] && is_covered_[1][oh];
        for (size_t ow = 0; ow < is_covered_[2].size(); ++ow) {
          if (is_row_covered && is_covered_[2][ow]) continue;
          weave_.FinishRows(no_sums, 0, row + ow * filters * weave_.element_bytes(), filters);
        }
      }
    }
  }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const DeconvProblem problem_;
  const std::array<AxisGeometry, 3> axes_;
  const DType multiplied_as_;
  const PhaseConvParts parts_;
  const Weave weave_;
  const std::vector<float> zeros_;  // [out_channels]
  std::vector<TileIndex> tiles_;
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
