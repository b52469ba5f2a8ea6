#include "tests/bench/contenders.h"

#include <omp.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "server/compute/backward_strategies.h"
#include "server/compute/compile_plan.h"
#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/strategies.h"

namespace tconv::bench {
namespace {

using dnnl::memory;
using server::AxisGeometry;
using server::BackwardStrategy;
using server::DeconvProblem;
using server::DType;
using server::Shape;
using server::Status;
using server::StatusOr;
using server::Strategy;
using server::Tensor;
using ::tconv::testing::RandomTensor;

memory::format_tag ImageTag(const DeconvProblem& problem) {
  using Tag = memory::format_tag;
  constexpr Tag kLast[] = {Tag::nwc, Tag::nhwc, Tag::ndhwc};
  constexpr Tag kFirst[] = {Tag::ncw, Tag::nchw, Tag::ncdhw};
  const size_t index = problem.axes.size() - 1;
  return problem.data_format == server::DataFormat::kChannelsLast ? kLast[index] : kFirst[index];
}

// Numbers of ordinary size, for tiny ones take longer.
memory RandomMemory(const memory::desc& desc, const dnnl::engine& engine, DType dtype) {
  memory values(desc, engine);
  const auto count = static_cast<int64_t>(desc.get_size() / SizeOf(dtype));
  const Tensor random = RandomTensor(Shape{count}, dtype, 3);
  std::copy_n(random.view().data, random.size_bytes(),
              static_cast<std::byte*>(values.get_data_handle()));
  return values;
}

// `make`, a Contender(), on an OpenMP team of `threads`.
template <typename Make>
StatusOr<Contender> MakeOnTeam(int threads, Make&& make) {
  omp_set_num_threads(threads);
  try {
    return make();
  } catch (...) {
    return server::OneDnnErrorInFlight();
  }
}

// oneDNN reads the size of the team when a primitive is made and when it runs.
template <typename Primitive>
Contender RunOnTeam(int threads, const typename Primitive::primitive_desc& desc,
                    std::unordered_map<int, memory> arguments) {
  return {.how = desc.impl_info_str(),
          .run = [threads, primitive = Primitive(desc), stream = dnnl::stream(desc.get_engine()),
                  arguments = std::move(arguments)]() mutable -> Status {
            omp_set_num_threads(threads);
            try {
              primitive.execute(stream, arguments);
              stream.wait();
            } catch (...) {
              return server::OneDnnErrorInFlight();
            }
            return server::OkStatus();
          }};
}

// Of `strategies`, those that take the problem.
template <typename S>
std::vector<const S*> WithoutReference(const std::vector<std::unique_ptr<const S>>& strategies,
                                       const DeconvProblem& problem) {
  std::vector<const S*> takers;
  for (const auto& strategy : strategies) {
    if (strategy->name() == "reference" || !strategy->Supports(problem).ok()) continue;
    takers.push_back(strategy.get());
  }
  return takers;
}

// What oneDNN asks to know of a deconvolution.
struct DeconvolutionDims {
  explicit DeconvolutionDims(const DeconvProblem& problem)
      : src({problem.batch, problem.in_channels}),
        dst({problem.batch, problem.out_channels}),
        kernel({problem.out_channels, problem.in_channels}) {
    for (const AxisGeometry& axis : problem.axes) {
      src.push_back(axis.in);
      dst.push_back(axis.out);
      kernel.push_back(axis.kernel);
      strides.push_back(axis.stride);
      dilations.push_back(axis.dilation - 1);
      begin.push_back(axis.crop_begin);
      end.push_back(axis.crop_end());
    }
  }

  memory::dims src, dst, kernel, strides, dilations, begin, end;
};

}  // namespace

Machine::Machine(int threads)
    : pool(server::WorkerPool::Make(threads).value()),
      planner(server::Planner::Make(server::MakeStrategies(*pool).value(), "").value()),
      strategies(server::MakeStrategies(*pool).value()),
      backward_planner(server::MakeBackwardStrategies(*pool).value()),
      backward_strategies(server::MakeBackwardStrategies(*pool).value()) {}

std::vector<const Strategy*> Machine::TakersOf(const DeconvProblem& problem) const {
  return WithoutReference(strategies, problem);
}

std::vector<const BackwardStrategy*> Machine::BackwardTakersOf(const DeconvProblem& problem) const {
  return WithoutReference(backward_strategies, problem);
}

StatusOr<Contender> MakePlanContender(const Strategy& strategy, const testing::ShapeRow& row) {
  const DeconvProblem& problem = row.problem;
  const auto weights = testing::RandomWeights(problem, row.config.dtype.variable, 1);
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const server::ForwardPlan> plan,
                         CompilePlan(strategy, problem, weights));
  const auto src =
      std::make_shared<const Tensor>(RandomTensor(problem.src_shape(), problem.dtype, 2));
  TCONV_ASSIGN_OR_RETURN(Tensor result, Tensor::Allocate(problem.dtype, problem.dst_shape()));
  const auto dst = std::make_shared<Tensor>(std::move(result));
  return Contender{.how = std::string(strategy.name()), .run = [plan, src, dst] {
                     return plan->Execute(src->view(), dst->mutable_view());
                   }};
}

StatusOr<Contender> MakeBaselineContender(const DeconvProblem& problem, int threads) {
  const auto type = server::OneDnnTypeOf(problem.dtype);
  const DeconvolutionDims dims(problem);
  return MakeOnTeam(threads, [&] {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    dnnl::primitive_attr attributes;
    if (problem.activation.spec().name == "relu") server::AppendRelu(attributes);
    const auto bias = problem.use_bias
                          ? memory::desc({problem.out_channels}, type, memory::format_tag::a)
                          : memory::desc();
    const auto desc = server::MakePrimitiveDesc<dnnl::deconvolution_forward>(
        engine, attributes, dnnl::prop_kind::forward_inference,
        dnnl::algorithm::deconvolution_direct, memory::desc(dims.src, type, ImageTag(problem)),
        memory::desc(dims.kernel, type, memory::format_tag::any), bias,
        memory::desc(dims.dst, type, ImageTag(problem)), dims.strides, dims.dilations, dims.begin,
        dims.end);
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, RandomMemory(desc.src_desc(), engine, problem.dtype)},
        {DNNL_ARG_WEIGHTS, RandomMemory(desc.weights_desc(), engine, problem.dtype)},
        {DNNL_ARG_DST, memory(desc.dst_desc(), engine)}};
    if (problem.use_bias) {
      arguments[DNNL_ARG_BIAS] = RandomMemory(desc.bias_desc(), engine, problem.dtype);
    }
    return RunOnTeam<dnnl::deconvolution_forward>(threads, desc, std::move(arguments));
  });
}

StatusOr<Contender> MakeBackwardContender(const BackwardStrategy& strategy,
                                          const DeconvProblem& problem) {
  struct Tensors {
    std::shared_ptr<const server::Weights> weights;
    Tensor src, diff_dst, diff_src, diff_kernel;
    std::shared_ptr<server::BlockPool> memory = server::BlockPool::Make(int64_t{256} << 20);
  };
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const server::BackwardPlan> plan,
                         strategy.Compile(problem));
  const auto tensors = std::make_shared<Tensors>();
  tensors->weights = testing::RandomWeights(problem, DType::kFloat32, 1);
  tensors->src = RandomTensor(problem.src_shape(), DType::kFloat32, 2);
  tensors->diff_dst = RandomTensor(problem.linear_shape(), DType::kFloat32, 3);
  TCONV_ASSIGN_OR_RETURN(tensors->diff_src, Tensor::Allocate(DType::kFloat32, problem.src_shape()));
  TCONV_ASSIGN_OR_RETURN(tensors->diff_kernel,
                         Tensor::Allocate(DType::kFloat32, tensors->weights->kernel.shape()));
  return Contender{.how = std::string(strategy.name()), .run = [plan, tensors] {
                     return plan->Execute({.kernel = tensors->weights->kernel.view(),
                                           .src = tensors->src.view(),
                                           .diff_dst = tensors->diff_dst.view(),
                                           .diff_src = tensors->diff_src.mutable_view(),
                                           .diff_kernel = tensors->diff_kernel.mutable_view()},
                                          *tensors->memory);
                   }};
}

StatusOr<Contender> MakeBackwardBaselineContender(const DeconvProblem& problem, int threads) {
  constexpr auto kType = memory::data_type::f32;
  const DeconvolutionDims dims(problem);
  const memory::desc src(dims.src, kType, ImageTag(problem));
  const memory::desc dst(dims.dst, kType, ImageTag(problem));
  const memory::desc kernel(dims.kernel, kType, memory::format_tag::any);
  return MakeOnTeam(threads, [&]() -> StatusOr<Contender> {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const dnnl::primitive_attr attributes;
    constexpr auto kDirect = dnnl::algorithm::deconvolution_direct;
    const auto forward = server::MakePrimitiveDesc<dnnl::deconvolution_forward>(
        engine, attributes, dnnl::prop_kind::forward_training, kDirect, src, kernel, dst,
        dims.strides, dims.dilations, dims.begin, dims.end);
    const auto by_src = server::MakeBackwardPrimitiveDesc<dnnl::deconvolution_backward_data>(
        engine, attributes, forward, kDirect, src, kernel, dst, dims.strides, dims.dilations,
        dims.begin, dims.end);
    const auto by_kernel = server::MakeBackwardPrimitiveDesc<dnnl::deconvolution_backward_weights>(
        engine, attributes, forward, kDirect, src, kernel, dst, dims.strides, dims.dilations,
        dims.begin, dims.end);
    const memory diff_dst = RandomMemory(dst, engine, DType::kFloat32);
    Contender first = RunOnTeam<dnnl::deconvolution_backward_data>(
        threads, by_src,
        {{DNNL_ARG_DIFF_DST, diff_dst},
         {DNNL_ARG_WEIGHTS, RandomMemory(by_src.weights_desc(), engine, DType::kFloat32)},
         {DNNL_ARG_DIFF_SRC, memory(src, engine)}});
    Contender second = RunOnTeam<dnnl::deconvolution_backward_weights>(
        threads, by_kernel,
        {{DNNL_ARG_DIFF_DST, diff_dst},
         {DNNL_ARG_SRC, RandomMemory(src, engine, DType::kFloat32)},
         {DNNL_ARG_DIFF_WEIGHTS, memory(by_kernel.diff_weights_desc(), engine)}});
    return Contender{.how = first.how + ", " + second.how,
                     .run = [first = std::move(first), second = std::move(second)]() -> Status {
                       TCONV_RETURN_IF_ERROR(first.run());
                       return second.run();
                     }};
  });
}

StatusOr<Contender> MakeMatmulContender(DType dtype, int64_t size, int threads) {
  return MakeOnTeam(threads, [&] {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const memory::dims square = {size, size};
    const auto type = server::OneDnnTypeOf(dtype);
    const auto desc = server::MakePrimitiveDesc<dnnl::matmul>(
        engine, dnnl::primitive_attr(), memory::desc(square, type, memory::format_tag::ab),
        memory::desc(square, type, memory::format_tag::any),
        memory::desc(square, memory::data_type::f32, memory::format_tag::ab));
    return RunOnTeam<dnnl::matmul>(
        threads, desc,
        {{DNNL_ARG_SRC, RandomMemory(desc.src_desc(), engine, dtype)},
         {DNNL_ARG_WEIGHTS, RandomMemory(desc.weights_desc(), engine, dtype)},
         {DNNL_ARG_DST, memory(desc.dst_desc(), engine)}});
  });
}

void EndOpenMpTeam() { omp_pause_resource_all(omp_pause_soft); }

}  // namespace tconv::bench
