#include "server/compute/onednn/runtime.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <new>

namespace tconv::server {
namespace {

// Plans are cached by the server; the library's own cache only has to bridge
// the shapes of one layer. Its entries hold machine code that no limit of ours
// would count.
constexpr int kPrimitiveCacheCapacity = 128;

// Some kilobytes each, for every primitive of every plan.
constexpr size_t kMaxIdleCalls = 16;

// The library counts extents in int; beyond this nothing has been tested.
constexpr int64_t kMaxElements = int64_t{1} << 31;

StatusOr<Tensor> AllocateBytes(size_t bytes) {
  return Tensor::Allocate(DType::kFloat32,
                          Shape{static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float))});
}

// The library's enumeration of instruction sets is a set of bits.
bool HasIsa(dnnl::cpu_isa isa) {
  const auto needed = static_cast<unsigned>(isa);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
}

// Whether products of bfloat16 are faster than those of float32. The vector
// instructions of AVX512_BF16 are twice as fast on AMD and, measured, half as
// fast on Intel, whose fast ones are AMX.
bool IsBFloat16Faster() {
#if defined(__x86_64__)
  if (__builtin_cpu_is("amd")) return HasIsa(dnnl::cpu_isa::avx512_core_bf16);
#endif
  return HasIsa(dnnl::cpu_isa::avx512_core_amx);
}

}  // namespace

SingleOmpThread::SingleOmpThread() : previous_threads_(omp_get_max_threads()) {
  if (previous_threads_ != 1) omp_set_num_threads(1);
}

SingleOmpThread::~SingleOmpThread() {
  if (previous_threads_ != 1) omp_set_num_threads(previous_threads_);
}

Status OneDnnErrorInFlight() {
  try {
    throw;
  } catch (const dnnl::error& error) {
    const StatusCode code = error.status == dnnl_out_of_memory   ? StatusCode::kResourceExhausted
                            : error.status == dnnl_unimplemented ? StatusCode::kUnimplemented
                                                                 : StatusCode::kInternal;
    return MakeError(code, "oneDNN: {}", error.what());
  } catch (const std::bad_alloc&) {
    return MakeError(StatusCode::kResourceExhausted, "no memory to compile or run a plan");
  } catch (const std::exception& error) {
    return MakeError(StatusCode::kInternal, "oneDNN: {}", error.what());
  }
}

void SharedPrimitive::Call::Add(const dnnl::engine& engine, const PrimitiveArgument& argument) {
  // The library has no type for memory that is only read.
  memories.emplace_back(argument.desc, engine, const_cast<void*>(argument.data));
  arguments.push_back({argument.name, memories.back().get()});
}

void SharedPrimitive::Execute(const dnnl::engine& engine,
                              std::initializer_list<PrimitiveArgument> arguments,
                              std::byte* scratchpad) const {
  std::unique_ptr<Call> call = TakeIdleCall();
  if (call == nullptr) {
    call = std::make_unique<Call>(engine);
    for (const PrimitiveArgument& argument : arguments) call->Add(engine, argument);
    if (scratchpad_bytes() > 0) {
      call->Add(engine, {DNNL_ARG_SCRATCHPAD, scratchpad_desc_, scratchpad});
    }
  } else {
    const auto set = [](const dnnl::memory& memory, const void* data) {
      if (memory.get_data_handle() != data) memory.set_data_handle(const_cast<void*>(data));
    };
    auto memory = call->memories.begin();
    for (const PrimitiveArgument& argument : arguments) set(*memory++, argument.data);
    if (scratchpad_bytes() > 0) set(*memory, scratchpad);
  }
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive_.get(), call->stream.get(),
                             static_cast<int>(call->arguments.size()), call->arguments.data()),
      "could not execute a primitive");
  call->stream.wait();
  KeepIdleCall(std::move(call));
}

std::unique_ptr<SharedPrimitive::Call> SharedPrimitive::TakeIdleCall() const {
  MutexLock lock(idle_calls_->mutex);
  if (idle_calls_->calls.empty()) return nullptr;
  std::unique_ptr<Call> call = std::move(idle_calls_->calls.back());
  idle_calls_->calls.pop_back();
  return call;
}

void SharedPrimitive::KeepIdleCall(std::unique_ptr<Call> call) const {
  MutexLock lock(idle_calls_->mutex);
  if (idle_calls_->calls.size() < kMaxIdleCalls) idle_calls_->calls.push_back(std::move(call));
}

dnnl::primitive_attr ScratchpadFromCaller() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::memory::data_type OneDnnTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return dnnl::memory::data_type::f32;
    case DType::kFloat16:
      return dnnl::memory::data_type::f16;
    case DType::kBFloat16:
      return dnnl::memory::data_type::bf16;
    case DType::kFloat64:
      break;  // not before oneDNN 3
  }
  return dnnl::memory::data_type::undef;
}

DType MultipliedAs(DType dtype) {
  return dtype == DType::kBFloat16 && IsBFloat16Faster() ? DType::kBFloat16 : DType::kFloat32;
}

Status FitsOneDnn(const DeconvProblem& problem) {
  if (problem.dtype == DType::kFloat64) {
    return MakeError(StatusCode::kUnimplemented, "oneDNN does not compute float64");
  }
  if (problem.batch == 0 || problem.linear_shape().num_elements() == 0) {
    return MakeError(StatusCode::kUnimplemented, "there is nothing to compute");
  }
  int64_t taps = 1;
  for (const AxisGeometry& axis : problem.axes) taps *= axis.kernel;
  const int64_t largest = std::max({problem.src_shape().num_elements() / problem.batch,
                                    problem.linear_shape().num_elements() / problem.batch,
                                    taps * problem.in_channels * problem.out_channels});
  if (largest >= kMaxElements) {
    return MakeError(StatusCode::kUnimplemented, "a tensor of {} elements is too large", largest);
  }
  return OkStatus();
}

StatusOr<std::shared_ptr<const OneDnnRuntime>> OneDnnRuntime::Make() {
  std::shared_ptr<const OneDnnRuntime> runtime;
  TCONV_RETURN_IF_ERROR(CallOneDnn([&] {
    dnnl::set_primitive_cache_capacity(kPrimitiveCacheCapacity);
    runtime.reset(new OneDnnRuntime(dnnl::engine(dnnl::engine::kind::cpu, 0)));
    return OkStatus();
  }));
  return runtime;
}

StatusOr<Tensor> OneDnnRuntime::Reordered(const void* data, const dnnl::memory::desc& from,
                                          const dnnl::memory::desc& to) const {
  const dnnl::reorder::primitive_desc desc(engine_, from, engine_, to, ScratchpadFromCaller());
  const SharedPrimitive reorder(desc);
  TCONV_ASSIGN_OR_RETURN(Tensor copy, AllocateBytes(to.get_size()));
  TCONV_ASSIGN_OR_RETURN(Tensor scratchpad, AllocateBytes(reorder.scratchpad_bytes()));
  reorder.Execute(engine_,
                  {{DNNL_ARG_FROM, from, data}, {DNNL_ARG_TO, to, copy.mutable_view().data}},
                  scratchpad.mutable_view().data);
  return copy;
}

}  // namespace tconv::server
