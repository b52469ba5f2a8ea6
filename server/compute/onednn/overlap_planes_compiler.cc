#include "server/compute/onednn/overlap_planes_compiler.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/overlap_planes_plan.h"
#include "server/compute/weave.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

using dnnl::matmul;
using dnnl::memory;

// Throws dnnl::error.
TileProduct MakeProduct(const dnnl::engine& engine, const DeconvProblem& problem,
                        DType multiplied_as, int64_t kernel_rows, int64_t positions) {
  const int64_t channels = problem.in_channels;
  const int64_t plane = problem.src_shape().num_elements() / (problem.batch * channels);
  const auto type = OneDnnTypeOf(multiplied_as);
  TileProduct product;
  product.kernel_desc = memory::desc({kernel_rows, channels}, type, memory::format_tag::ab);
  product.src_desc = memory::desc({channels, positions}, type, memory::dims{plane, 1});
  product.sums_desc =
      memory::desc({kernel_rows, positions}, memory::data_type::f32, memory::format_tag::ab);
  product.primitive = SharedPrimitive(MakePrimitiveDesc<matmul>(
      engine, ScratchpadFromCaller(), product.kernel_desc, product.src_desc, product.sums_desc));
  return product;
}

// The live taps of the kernel for each set of filters in turn.
void CopyLiveTaps(const DeconvProblem& problem, const OverlapLayout& layout, ConstTensorView kernel,
                  std::byte* out) {
  const auto& [d_axis, h_axis, w_axis] = layout.axes;
  const auto row_bytes = static_cast<size_t>(problem.in_channels) * SizeOf(kernel.dtype);
  for (int64_t first = 0; first < problem.out_channels; first += layout.filters_per_task) {
    const int64_t filters = std::min(layout.filters_per_task, problem.out_channels - first);
    int64_t tap = 0;
    for (const int64_t d : d_axis.live_tap) {
      for (const int64_t h : h_axis.live_tap) {
        for (const int64_t w : w_axis.live_tap) {
          const auto row = static_cast<size_t>(tap++ * problem.out_channels + first);
          if (d < 0 || h < 0 || w < 0) continue;
          const size_t bytes = static_cast<size_t>(filters) * row_bytes;
          std::memcpy(out, kernel.data + row * row_bytes, bytes);
          out += bytes;
        }
      }
    }
  }
}

}  // namespace

StatusOr<std::unique_ptr<const ForwardPlan>> OverlapPlanesCompiler::Compile(
    const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const {
  TCONV_ASSIGN_OR_RETURN(Weave weave, Weave::Make(problem, *weights));
  const DType multiplied_as = MultipliedAs(problem.dtype);
  std::unique_ptr<const ForwardPlan> plan;
  TCONV_RETURN_IF_ERROR(CallOneDnn([&]() -> Status {
    OverlapLayout layout(problem);
    TileProducts products;
    for (const OverlapTask& task : layout.tasks) {
      ForEachTile(layout, task, [&](int64_t, int64_t rows) {
        const int64_t positions = rows * layout.RowInputs(task);
        TileProduct& product = products[{task.filters, positions}];
        if (product.primitive.is_empty()) {
          product = MakeProduct(runtime_->engine(), problem, multiplied_as,
                                layout.taps * task.filters, positions);
        }
      });
    }
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const PackedWeights> packed,
                           Pack(problem, layout, multiplied_as, weights));
    plan = MakeOverlapPlanesPlan(runtime_, pool_, problem, std::move(layout), multiplied_as,
                                 std::move(products), weights, std::move(packed), std::move(weave));
    return OkStatus();
  }));
  return plan;
}

StatusOr<std::shared_ptr<const PackedWeights>> OverlapPlanesCompiler::Pack(
    const DeconvProblem& problem, const OverlapLayout& layout, DType multiplied_as,
    const std::shared_ptr<const Weights>& weights) const {
  const ConstTensorView kernel = weights->kernel.view();
  const bool is_whole =
      layout.filters_per_task == problem.out_channels &&
      layout.taps * problem.out_channels * problem.in_channels == kernel.shape.num_elements();
  if (is_whole && kernel.dtype == problem.dtype && problem.dtype == multiplied_as) {
    return std::shared_ptr<const PackedWeights>();
  }
  WeightsPart part = {layout.filters_per_task, static_cast<int64_t>(multiplied_as)};
  for (const OverlapAxis& axis : layout.axes) {
    part.insert(part.end(), axis.live_tap.begin(), axis.live_tap.end());
  }
  return packed_weights_.FindOrPack(
      weights, part, [&]() -> StatusOr<std::shared_ptr<const PackedWeights>> {
        TCONV_ASSIGN_OR_RETURN(const CastWeight cast,
                               CastWeight::Make(kernel, problem.dtype, multiplied_as));
        TCONV_ASSIGN_OR_RETURN(
            Tensor data, Tensor::Allocate(multiplied_as, Shape{layout.taps, problem.out_channels,
                                                               problem.in_channels}));
        CopyLiveTaps(problem, layout, cast.view(), data.mutable_view().data);
        return std::make_shared<const PackedWeights>(PackedWeights{std::move(data), {}});
      });
}

}  // namespace tconv::server
