// Activations by the vector forms of the C library.
//
// One of the parts of weave_kernels_isa.cc, which is compiled once for each
// instruction set: all of it has internal linkage, or the linker could keep the
// copy of the widest instruction set for all callers.
#pragma once

#include "server/compute/vector_math_isa.h"

namespace tconv::server {
namespace {

#if defined(TCONV_HAS_LIBMVEC)

// The formulas of the layer's activations.
inline Vector Elu(Vector z, float alpha) { return z > 0 ? z : alpha * VectorExpm1(z); }
inline Vector Softplus(Vector z) {
  return (z < 0 ? All(0) : z) + VectorLog1p(VectorExp(-Magnitude(z)));
}
inline Vector Gelu(Vector z) { return z / 2 * (1 + VectorErf(z / 1.41421356237309505f)); }
inline Vector ApproximateGelu(Vector z) {
  constexpr float kScale = 0.797884560802865356f;  // sqrt(2 / pi)
  return z / 2 * (1 + VectorTanh(kScale * (z + 0.044715f * z * z * z)));
}
inline Vector Mish(Vector z) {
  const Vector e = VectorExp(z > 20 ? All(20) : z);
  const Vector n = e * (e + 2);
  return z * (n / (n + 2));
}

// The last values take part in a vector of their own, so that a value gives the
// same bits wherever it stands.
template <typename Function>
inline void ApplyByVectors(float* values, size_t length, Function function) {
  Vector z;
  size_t i = 0;
  for (; i + kLanes <= length; i += kLanes) {
    __builtin_memcpy(&z, values + i, sizeof(z));
    z = function(z);
    __builtin_memcpy(values + i, &z, sizeof(z));
  }
  if (i == length) return;
  z = All(0);
  __builtin_memcpy(&z, values + i, (length - i) * sizeof(float));
  z = function(z);
  __builtin_memcpy(values + i, &z, (length - i) * sizeof(float));
}

bool Activate(VectorActivation activation, float parameter, float* values, size_t length) {
  const auto apply = [&](auto function) {
    ApplyByVectors(values, length, function);
    return true;
  };
  switch (activation) {
    case VectorActivation::kNone:
      return true;
    case VectorActivation::kRelu:
    case VectorActivation::kLeakyRelu:
      return false;
    case VectorActivation::kTanh:
      return apply([](Vector z) { return VectorTanh(z); });
    case VectorActivation::kSigmoid:
      return apply([](Vector z) { return Sigmoid(z); });
    case VectorActivation::kSilu:
      return apply([](Vector z) { return z * Sigmoid(z); });
    case VectorActivation::kElu:
      return apply([=](Vector z) { return Elu(z, parameter); });
    case VectorActivation::kSelu:
      return apply([](Vector z) { return 1.0507009873554805f * Elu(z, 1.6732632423543772f); });
    case VectorActivation::kSoftplus:
      return apply([](Vector z) { return Softplus(z); });
    case VectorActivation::kGelu:
      return apply([](Vector z) { return Gelu(z); });
    case VectorActivation::kApproximateGelu:
      return apply([](Vector z) { return ApproximateGelu(z); });
    case VectorActivation::kExponential:
      return apply([](Vector z) { return VectorExp(z); });
    case VectorActivation::kMish:
      return apply([](Vector z) { return Mish(z); });
  }
  return false;
}

#else

bool Activate(VectorActivation activation, float, float*, size_t) {
  return activation == VectorActivation::kNone;
}

#endif

}  // namespace
}  // namespace tconv::server
