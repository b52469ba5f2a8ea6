// Vectors of exp, tanh and others, by the vector forms of the C library.
//
// One of the parts of the *_kernels_isa.cc, which are compiled once for each
// instruction set: all of it has internal linkage, or the linker could keep the
// copy of the widest instruction set for all callers.
#pragma once

#include "server/compute/weave_formats_isa.h"

namespace tconv::server {
namespace {

#if defined(TCONV_HAS_LIBMVEC)

// The vector forms of the C library's functions, by the names that the vector
// ABI of x86-64 gives them.
#if defined(__AVX512F__)
#define TCONV_VECTOR_FORM(function) __asm__("_ZGVeN16v_" function)
#elif defined(__AVX2__)
#define TCONV_VECTOR_FORM(function) __asm__("_ZGVdN8v_" function)
#else
#define TCONV_VECTOR_FORM(function) __asm__("_ZGVbN4v_" function)
#endif

extern "C" {
Vector VectorErf(Vector) TCONV_VECTOR_FORM("erff");
Vector VectorExp(Vector) TCONV_VECTOR_FORM("expf");
Vector VectorExpm1(Vector) TCONV_VECTOR_FORM("expm1f");
Vector VectorLog(Vector) TCONV_VECTOR_FORM("logf");
Vector VectorLog1p(Vector) TCONV_VECTOR_FORM("log1pf");
Vector VectorTanh(Vector) TCONV_VECTOR_FORM("tanhf");
}

#else

inline Vector VectorErf(Vector z) {
  for (size_t i = 0; i < kLanes; ++i) z[i] = __builtin_erff(z[i]);
  return z;
}
inline Vector VectorExp(Vector z) {
  for (size_t i = 0; i < kLanes; ++i) z[i] = __builtin_expf(z[i]);
  return z;
}
inline Vector VectorLog(Vector z) {
  for (size_t i = 0; i < kLanes; ++i) z[i] = __builtin_logf(z[i]);
  return z;
}
inline Vector VectorTanh(Vector z) {
  for (size_t i = 0; i < kLanes; ++i) z[i] = __builtin_tanhf(z[i]);
  return z;
}

#endif

inline Vector Magnitude(Vector z) { return z < 0 ? -z : z; }

inline Vector Sigmoid(Vector z) {
  const Vector e = VectorExp(-Magnitude(z));
  return (z < 0 ? e : All(1)) / (1 + e);
}

// e^z for z <= 0. Results below the least normal number are 0: the function of
// the library leaves its vectors for them.
inline Vector Decay(Vector z) {
  constexpr float kLeast = -87.0f;
  const Vector e = VectorExp(z < kLeast ? All(kLeast) : z);
  return z < kLeast ? All(0) : e;
}

}  // namespace
}  // namespace tconv::server
