#include "server/compute/onednn/overlap_blocks_compiler.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/compute/onednn/compat.h"
#include "server/compute/weave.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

using dnnl::matmul;
using dnnl::memory;

memory::desc Matrix(int64_t rows, int64_t columns, memory::data_type type,
                    memory::format_tag layout) {
  return memory::desc({rows, columns}, type, layout);
}

// Throws dnnl::error.
matmul::primitive_desc MakeDesc(const dnnl::engine& engine, int64_t positions, int64_t channels,
                                int64_t columns, memory::data_type type,
                                const memory::desc& weights_desc) {
  return MakePrimitiveDesc<matmul>(
      engine, ScratchpadFromCaller(), Matrix(positions, channels, type, memory::format_tag::ab),
      weights_desc, Matrix(positions, columns, memory::data_type::f32, memory::format_tag::ab));
}

}  // namespace

StatusOr<std::unique_ptr<const ForwardPlan>> OverlapBlocksCompiler::Compile(
    const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const {
  TCONV_ASSIGN_OR_RETURN(Weave weave, Weave::Make(problem, *weights));
  std::unique_ptr<const ForwardPlan> plan;
  TCONV_RETURN_IF_ERROR(CallOneDnn([&]() -> Status {
    OverlapBlocks blocks(problem);
    TCONV_ASSIGN_OR_RETURN(OverlapBlocksParts parts, MakeParts(problem, blocks, weights));
    plan = MakeOverlapBlocksPlan(runtime_, pool_, problem, std::move(blocks),
                                 MultipliedAs(problem.dtype), std::move(parts), std::move(weave));
    return OkStatus();
  }));
  return plan;
}

StatusOr<OverlapBlocksParts> OverlapBlocksCompiler::MakeParts(
    const DeconvProblem& problem, const OverlapBlocks& blocks,
    const std::shared_ptr<const Weights>& weights) const {
  const DType multiplied_as = MultipliedAs(problem.dtype);
  LazyCastWeight kernel(weights->kernel.view(), problem.dtype, multiplied_as);
  OverlapBlocksParts parts;
  for (const OverlapTask& task : blocks.tasks) {
    std::shared_ptr<const PackedWeights>& packed = parts.weights[task.first_filter];
    if (packed == nullptr) {
      const WeightsPart part = {task.first_filter, task.filters, blocks.filters_per_task,
                                static_cast<int64_t>(multiplied_as)};
      TCONV_ASSIGN_OR_RETURN(
          packed, packed_weights_.FindOrPack(
                      weights, part, [&]() -> StatusOr<std::shared_ptr<const PackedWeights>> {
                        TCONV_ASSIGN_OR_RETURN(const ConstTensorView cast, kernel.view());
                        return Pack(problem, blocks, task, cast);
                      }));
    }
    const Range rows = blocks.InputsOf(task, blocks.row_axis);
    for (int64_t row = rows.begin; row < rows.end; row += blocks.rows_per_tile) {
      const Range tile = {row, std::min(row + blocks.rows_per_tile, rows.end)};
      const auto inputs = blocks.InputsOf(task, tile);
      const int64_t positions = inputs[0].size() * inputs[1].size() * inputs[2].size();
      if (positions == 0) continue;
      BlockProduct& product = parts.products[{task.filters, positions}];
      if (!product.primitive.is_empty()) continue;
      const auto desc =
          MakeDesc(runtime_->engine(), positions, problem.in_channels, blocks.Columns(task.filters),
                   OneDnnTypeOf(multiplied_as), packed->desc);
      product = {SharedPrimitive(desc), desc.src_desc(), desc.dst_desc()};
    }
  }
  return parts;
}

// The columns in their order, padded with zeros, as the library wants them.
StatusOr<std::shared_ptr<const PackedWeights>> OverlapBlocksCompiler::Pack(
    const DeconvProblem& problem, const OverlapBlocks& blocks, const OverlapTask& task,
    ConstTensorView kernel) const {
  // From so many rows on, every layout that the library may want is good.
  constexpr int64_t kManyPositions = 256;
  const int64_t columns = blocks.Columns(task.filters);
  TCONV_ASSIGN_OR_RETURN(Tensor plain,
                         Tensor::Allocate(kernel.dtype, Shape{columns, problem.in_channels}));
  const size_t filter_bytes = static_cast<size_t>(problem.in_channels) * SizeOf(kernel.dtype);
  const size_t set_bytes = static_cast<size_t>(task.filters) * filter_bytes;
  std::byte* out = plain.mutable_view().data;
  for (const int64_t tap : blocks.taps) {
    const auto filter = static_cast<size_t>(tap * problem.out_channels + task.first_filter);
    std::memcpy(out, kernel.data + filter * filter_bytes, set_bytes);
    out += set_bytes;
  }
  const std::byte* end = plain.view().data + plain.size_bytes();
  std::memset(out, 0, static_cast<size_t>(end - out));
  const auto type = OneDnnTypeOf(kernel.dtype);
  const auto any = Matrix(problem.in_channels, columns, type, memory::format_tag::any);
  const memory::desc packed_desc =
      MakeDesc(runtime_->engine(), kManyPositions, problem.in_channels, columns, type, any)
          .weights_desc();
  TCONV_ASSIGN_OR_RETURN(Tensor packed, runtime_->Reordered(plain.view().data,
                                                            Matrix(problem.in_channels, columns,
                                                                   type, memory::format_tag::ba),
                                                            packed_desc));
  return std::make_shared<const PackedWeights>(PackedWeights{std::move(packed), packed_desc});
}

}  // namespace tconv::server
