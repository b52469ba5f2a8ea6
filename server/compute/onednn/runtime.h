// What all oneDNN strategies share: the engine, the single-threaded execution
// of primitives, and the way from exceptions to Status.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/layer/geometry.h"
#include "server/tensor/dtype.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// While it lives, OpenMP on this thread works alone. Debian's oneDNN is an
// OpenMP build that notes the number of threads where a primitive is made and
// reads it where one runs; tconv has threads of its own.
class SingleOmpThread {
 public:
  SingleOmpThread();
  ~SingleOmpThread();
  SingleOmpThread(const SingleOmpThread&) = delete;
  SingleOmpThread& operator=(const SingleOmpThread&) = delete;

 private:
  const int previous_threads_;
};

// The error in flight as a status: RESOURCE_EXHAUSTED for memory, UNIMPLEMENTED
// for what the library does not have, INTERNAL otherwise. REQUIRES: inside a
// catch block.
Status OneDnnErrorInFlight();

// Calls `body`, a Status(), where oneDNN and the standard library may throw.
template <typename Body>
Status CallOneDnn(Body&& body) {
  const SingleOmpThread single_omp_thread;
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    return OneDnnErrorInFlight();
  }
}

// An argument of a primitive, in memory that somebody else owns.
struct PrimitiveArgument {
  int name;  // DNNL_ARG_...
  const dnnl::memory::desc& desc;
  const void* data;  // written to when the primitive writes this argument
};

// A primitive that many threads may run at once. The library would keep one
// scratchpad inside the primitive, which they would overwrite for each other;
// here every call brings its own.
class SharedPrimitive {
 public:
  // An empty one; assign before use.
  SharedPrimitive() = default;

  // Throws dnnl::error. REQUIRES: the descriptor has ScratchpadFromCaller().
  template <typename PrimitiveDesc>
  explicit SharedPrimitive(const PrimitiveDesc& desc)
      : primitive_(desc.get()),
        scratchpad_desc_(desc.scratchpad_desc()),
        idle_calls_(std::make_unique<IdleCalls>()) {}

  bool is_empty() const { return !primitive_; }
  size_t scratchpad_bytes() const { return scratchpad_desc_.get_size(); }

  // Runs to the end on this thread. `scratchpad` holds scratchpad_bytes(),
  // 64-byte aligned. Throws dnnl::error. REQUIRES: the names, descriptors and
  // order of the arguments, and the engine, are the same in all calls.
  void Execute(const dnnl::engine& engine, std::initializer_list<PrimitiveArgument> arguments,
               std::byte* scratchpad) const;

 private:
  // The library's objects for one call at a time. To make them takes longer
  // than a small primitive runs, so they are kept.
  struct Call {
    explicit Call(const dnnl::engine& engine) : stream(engine) {}
    void Add(const dnnl::engine& engine, const PrimitiveArgument& argument);

    dnnl::stream stream;
    std::vector<dnnl::memory> memories;
    std::vector<dnnl_exec_arg_t> arguments;  // refer to the memories
  };
  struct IdleCalls {
    Mutex mutex;
    std::vector<std::unique_ptr<Call>> calls TCONV_GUARDED_BY(mutex);
  };

  std::unique_ptr<Call> TakeIdleCall() const;
  void KeepIdleCall(std::unique_ptr<Call> call) const;

  dnnl::primitive primitive_;
  dnnl::memory::desc scratchpad_desc_;
  std::unique_ptr<IdleCalls> idle_calls_;
};

// Whether the library has no kernel for this but plain loops.
template <typename PrimitiveDesc>
bool IsReference(const PrimitiveDesc& desc) {
  return std::string_view(desc.impl_info_str()).starts_with("ref");
}

// The attributes of every primitive of this project.
dnnl::primitive_attr ScratchpadFromCaller();

dnnl::memory::data_type OneDnnTypeOf(DType dtype);

// The type in which inputs and weights of a dtype are multiplied: bfloat16 on
// CPUs where that is faster, else float32, which holds every value of the 16-bit
// types. Sums are float32. REQUIRES: dtype is not float64.
DType MultipliedAs(DType dtype);

// UNIMPLEMENTED, with the reason, for problems outside of what oneDNN computes:
// float64, empty tensors, tensors beyond its indices.
Status FitsOneDnn(const DeconvProblem& problem);

// The machine code and descriptors behind one primitive, which the library does
// not tell. Measured: 30 to 110 KiB.
inline constexpr int64_t kPrimitiveBytes = 128 << 10;

inline size_t RoundUpToAlignment(size_t bytes) {
  return (bytes + Tensor::kAlignment - 1) / Tensor::kAlignment * Tensor::kAlignment;
}

// The engine, for the whole process. Immutable, thread-safe.
class OneDnnRuntime {
 public:
  // INTERNAL when the library cannot be used at all.
  static StatusOr<std::shared_ptr<const OneDnnRuntime>> Make();

  const dnnl::engine& engine() const { return engine_; }

  // A copy of `data`, which lies as `from` says, in the layout `to`. Throws
  // dnnl::error. RESOURCE_EXHAUSTED without memory.
  StatusOr<Tensor> Reordered(const void* data, const dnnl::memory::desc& from,
                             const dnnl::memory::desc& to) const;

 private:
  explicit OneDnnRuntime(dnnl::engine engine) : engine_(std::move(engine)) {}

  const dnnl::engine engine_;
};

}  // namespace tconv::server
