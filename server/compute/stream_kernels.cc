#include "server/compute/stream_kernels.h"

#include "server/compute/runnable_kernels.h"

namespace tconv::server {

// One table for each compilation of stream_kernels_isa.cc.
extern const StreamKernels kStreamKernelsBaseline;
#if defined(__x86_64__)
extern const StreamKernels kStreamKernelsAvx2;
extern const StreamKernels kStreamKernelsAvx512;
#endif

std::span<const StreamKernels* const> RunnableStreamKernels() {
#if defined(__x86_64__)
  static constexpr const StreamKernels* kTables[] = {&kStreamKernelsAvx512, &kStreamKernelsAvx2,
                                                     &kStreamKernelsBaseline};
#else
  static constexpr const StreamKernels* kTables[] = {&kStreamKernelsBaseline};
#endif
  return RunnableOnThisCpu<StreamKernels>(kTables);
}

}  // namespace tconv::server
