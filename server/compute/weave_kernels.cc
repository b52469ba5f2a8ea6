#include "server/compute/weave_kernels.h"

namespace tconv::server {

// One table for each compilation of weave_kernels_isa.cc.
extern const WeaveKernels kWeaveKernelsBaseline;
#if defined(__x86_64__)
extern const WeaveKernels kWeaveKernelsAvx2;
extern const WeaveKernels kWeaveKernelsAvx512;
#endif

std::span<const WeaveKernels* const> RunnableWeaveKernels() {
#if defined(__x86_64__)
  static constexpr const WeaveKernels* kTables[] = {&kWeaveKernelsAvx512, &kWeaveKernelsAvx2,
                                                    &kWeaveKernelsBaseline};
  const std::span<const WeaveKernels* const> tables(kTables);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return tables;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return tables.subspan(1);
  return tables.subspan(2);
#else
  static constexpr const WeaveKernels* kTables[] = {&kWeaveKernelsBaseline};
  return kTables;
#endif
}

}  // namespace tconv::server
