// Compiled once for each instruction set: TCONV_GRADIENT_KERNELS names the table.
// Nothing inline from other headers than those *_isa.h may be used here: the linker
// could keep the copy of the widest instruction set for all callers.
#include "server/compute/gradient_kernels.h"
#include "server/compute/vector_math_isa.h"

namespace tconv::server {
namespace {

inline Vector Clipped(Vector z, float bound) {
  return z < -bound ? All(-bound) : (z > bound ? All(bound) : z);
}

// `flat` but where z is above 0; NaN stays.
inline Vector OneAboveZero(Vector z, Vector flat) { return z > 0 ? All(1) : (z <= 0 ? flat : z); }

inline Vector TanhDerivative(Vector z) {
  const Vector e = Decay(-2 * Magnitude(z));
  return 4 * e / ((1 + e) * (1 + e));
}

inline Vector SigmoidDerivative(Vector z) {
  const Vector e = Decay(-Magnitude(z));
  return e / ((1 + e) * (1 + e));
}

inline Vector EluDerivative(Vector z, float alpha) {
  return z > 0 ? All(1) : alpha * Decay(-Magnitude(z));
}

// Beyond the bounds the derivatives are 0 or 1, and squares would overflow.
inline Vector SiluDerivative(Vector z) {
  const Vector x = Clipped(z, 200);
  const Vector e = Decay(-Magnitude(x));
  return ((x < 0 ? e : All(1)) + x * e / (1 + e)) / (1 + e);
}

inline Vector GeluDerivative(Vector z) {
  constexpr float kDensityAtZero = 0.398942280401432678f;  // 1 / sqrt(2 pi)
  const Vector x = Clipped(z, 40);
  return (1 + VectorErf(x / 1.41421356237309505f)) / 2 + x * kDensityAtZero * Decay(-x * x / 2);
}

inline Vector ApproximateGeluDerivative(Vector z) {
  constexpr float kScale = 0.797884560802865356f;  // sqrt(2 / pi)
  const Vector x = Clipped(z, 30);
  const Vector cubic = 0.044715f * x * x;
  const Vector u = kScale * x * (1 + cubic);
  return (1 + VectorTanh(u)) / 2 + x / 2 * TanhDerivative(u) * kScale * (1 + 3 * cubic);
}

inline Vector MishDerivative(Vector z) {
  const Vector x = z < -80 ? All(-80) : (z > 20 ? All(20) : z);
  const Vector e = VectorExp(x);
  const Vector n = e * (e + 2);
  return n / (n + 2) + x * 4 * e * (1 + e) / ((n + 2) * (n + 2));
}

// The last values take part in a vector of their own, so that a value gives the
// same bits wherever it stands.
template <typename Derivative>
inline void MultiplyBy(Derivative derivative, const float* z, float* gradient, size_t length) {
  for (size_t i = 0; i < length; i += kLanes) {
    const size_t count = length - i < kLanes ? length - i : kLanes;
    Vector at = All(0);
    Vector by = All(0);
    if (count == kLanes) {
      __builtin_memcpy(&at, z + i, sizeof(at));
      __builtin_memcpy(&by, gradient + i, sizeof(by));
      by *= derivative(at);
      __builtin_memcpy(gradient + i, &by, sizeof(by));
    } else {
      __builtin_memcpy(&at, z + i, count * sizeof(float));
      __builtin_memcpy(&by, gradient + i, count * sizeof(float));
      by *= derivative(at);
      __builtin_memcpy(gradient + i, &by, count * sizeof(float));
    }
  }
}

void Differentiate(VectorActivation activation, float parameter, const float* z, float* gradient,
                   size_t length) {
  const auto multiply_by = [&](auto derivative) { MultiplyBy(derivative, z, gradient, length); };
  switch (activation) {
    case VectorActivation::kNone:
      return;
    case VectorActivation::kRelu:
      return multiply_by([](Vector v) { return OneAboveZero(v, All(0)); });
    case VectorActivation::kLeakyRelu:
      return multiply_by([=](Vector v) { return OneAboveZero(v, All(parameter)); });
    case VectorActivation::kTanh:
      return multiply_by([](Vector v) { return TanhDerivative(v); });
    case VectorActivation::kSigmoid:
      return multiply_by([](Vector v) { return SigmoidDerivative(v); });
    case VectorActivation::kSilu:
      return multiply_by([](Vector v) { return SiluDerivative(v); });
    case VectorActivation::kElu:
      return multiply_by([=](Vector v) { return EluDerivative(v, parameter); });
    case VectorActivation::kSelu:
      return multiply_by(
          [](Vector v) { return 1.0507009873554805f * EluDerivative(v, 1.6732632423543772f); });
    case VectorActivation::kSoftplus:
      return multiply_by([](Vector v) { return Sigmoid(v); });
    case VectorActivation::kGelu:
      return multiply_by([](Vector v) { return GeluDerivative(v); });
    case VectorActivation::kApproximateGelu:
      return multiply_by([](Vector v) { return ApproximateGeluDerivative(v); });
    case VectorActivation::kExponential:
      return multiply_by([](Vector v) { return VectorExp(v); });
    case VectorActivation::kMish:
      return multiply_by([](Vector v) { return MishDerivative(v); });
  }
}

inline void AddLongRows(const float* values, size_t rows, size_t columns, double* sums) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) sums[c] += static_cast<double>(values[r * columns + c]);
  }
}

// Short rows are added as long ones of several, whose sums are then added.
void AddRows(const float* values, size_t rows, size_t columns, double* sums) {
  constexpr size_t kLongRow = 32;
  if (columns >= kLongRow / 2) return AddLongRows(values, rows, columns, sums);
  const size_t joined = kLongRow / columns;
  double joined_sums[kLongRow] = {};
  AddLongRows(values, rows / joined, joined * columns, joined_sums);
  for (size_t i = 0; i < joined * columns; ++i) sums[i % columns] += joined_sums[i];
  AddLongRows(values + rows / joined * joined * columns, rows % joined, columns, sums);
}

}  // namespace

extern const GradientKernels TCONV_GRADIENT_KERNELS;
const GradientKernels TCONV_GRADIENT_KERNELS = {Differentiate, AddRows};

}  // namespace tconv::server
