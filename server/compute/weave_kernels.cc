#include "server/compute/weave_kernels.h"

#include "server/compute/runnable_kernels.h"

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
#else
  static constexpr const WeaveKernels* kTables[] = {&kWeaveKernelsBaseline};
#endif
  return RunnableOnThisCpu<WeaveKernels>(kTables);
}

}  // namespace tconv::server
