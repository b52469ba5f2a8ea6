#include "server/compute/weave_kernels.h"

namespace tconv::server {

// One table for each compilation of weave_kernels_isa.cc.
extern const WeaveKernels kWeaveKernelsBaseline;
#if defined(__x86_64__)
extern const WeaveKernels kWeaveKernelsAvx2;
extern const WeaveKernels kWeaveKernelsAvx512;
#endif

const WeaveKernels& WeaveKernelsForThisCpu() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return kWeaveKernelsAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kWeaveKernelsAvx2;
#endif
  return kWeaveKernelsBaseline;
}

}  // namespace tconv::server
