#include "server/compute/gradient_kernels.h"

#include "server/compute/runnable_kernels.h"

namespace tconv::server {

// One table for each compilation of gradient_kernels_isa.cc.
extern const GradientKernels kGradientKernelsBaseline;
#if defined(__x86_64__)
extern const GradientKernels kGradientKernelsAvx2;
extern const GradientKernels kGradientKernelsAvx512;
#endif

std::span<const GradientKernels* const> RunnableGradientKernels() {
#if defined(__x86_64__)
  static constexpr const GradientKernels* kTables[] = {
      &kGradientKernelsAvx512, &kGradientKernelsAvx2, &kGradientKernelsBaseline};
#else
  static constexpr const GradientKernels* kTables[] = {&kGradientKernelsBaseline};
#endif
  return RunnableOnThisCpu<GradientKernels>(kTables);
}

}  // namespace tconv::server
