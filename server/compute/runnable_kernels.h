// Which of the tables of kernels, one for each instruction set, this CPU can
// run.
#pragma once

#include <span>

namespace tconv::server {

// `tables` are for AVX-512, AVX2 and what every CPU of the architecture has, or
// for the last alone.
template <typename Kernels>
std::span<const Kernels* const> RunnableOnThisCpu(std::span<const Kernels* const> tables) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return tables;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return tables.subspan(1);
  return tables.subspan(2);
#else
  return tables;
#endif
}

}  // namespace tconv::server
