#include "client/cli/values.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace tconv::cli {
namespace {

template <typename T>
T Load(const Tensor& tensor, size_t index) {
  T value;
  std::memcpy(&value, tensor.bytes().data() + index * sizeof(T), sizeof(T));
  return value;
}

double FromHalf(uint16_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = bits >> 10 & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * std::ldexp(mantissa + 0x400, exponent - 25);
}

}  // namespace

double ValueAt(const Tensor& tensor, size_t index) {
  switch (tensor.dtype()) {
    case v1::DATA_TYPE_FLOAT64:
      return Load<double>(tensor, index);
    case v1::DATA_TYPE_FLOAT16:
      return FromHalf(Load<uint16_t>(tensor, index));
    case v1::DATA_TYPE_BFLOAT16:
      return std::bit_cast<float>(uint32_t{Load<uint16_t>(tensor, index)} << 16);
    default:
      return Load<float>(tensor, index);
  }
}

}  // namespace tconv::cli
