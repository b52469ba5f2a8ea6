#include "server/tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace tconv::server {
namespace {

// The value of a 16-bit pattern, from the definition of the format.
double Value(uint16_t bits, int mantissa_bits, int bias) {
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const int max_exponent = (1 << (15 - mantissa_bits)) - 1;
  if (exponent == max_exponent) {
    return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

struct Float16Traits {
  using Type = Float16;
  static constexpr int kMantissaBits = 10;
  static constexpr int kBias = 15;
  static Type Narrow(float value) { return ToFloat16(value); }
};

struct BFloat16Traits {
  using Type = BFloat16;
  static constexpr int kMantissaBits = 7;
  static constexpr int kBias = 127;
  static Type Narrow(float value) { return ToBFloat16(value); }
};

template <typename Traits>
class NarrowDTypeTest : public ::testing::Test {};
using Formats = ::testing::Types<Float16Traits, BFloat16Traits>;
TYPED_TEST_SUITE(NarrowDTypeTest, Formats);

TYPED_TEST(NarrowDTypeTest, EveryPatternWidensToItsValueAndNarrowsBack) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto pattern = static_cast<uint16_t>(bits);
    const float widened = ToFloat(typename TypeParam::Type{pattern});
    const double expected = Value(pattern, TypeParam::kMantissaBits, TypeParam::kBias);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(widened)) << bits;
      ASSERT_TRUE(std::isnan(ToFloat(TypeParam::Narrow(widened)))) << bits;
    } else {
      ASSERT_EQ(widened, expected) << bits;
      ASSERT_EQ(std::signbit(widened), bits >= 0x8000) << bits;
      ASSERT_EQ(TypeParam::Narrow(widened).bits, pattern);
    }
  }
}

TYPED_TEST(NarrowDTypeTest, ValuesBetweenTwoPatternsRoundToTheNearestAndTiesToEven) {
  const int max_exponent_bits = ((1 << (15 - TypeParam::kMantissaBits)) - 1)
                                << TypeParam::kMantissaBits;
  for (int bits = 0; bits + 1 < max_exponent_bits; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const double below = Value(low, TypeParam::kMantissaBits, TypeParam::kBias);
    const double above = Value(high, TypeParam::kMantissaBits, TypeParam::kBias);
    const auto middle = static_cast<float>((below + above) / 2);
    const uint16_t even = (bits & 1) == 0 ? low : high;
    ASSERT_EQ(TypeParam::Narrow(middle).bits, even) << bits;
    ASSERT_EQ(TypeParam::Narrow(std::nextafter(middle, 0.0f)).bits, low) << bits;
    ASSERT_EQ(TypeParam::Narrow(std::nextafter(middle, INFINITY)).bits, high) << bits;
  }
}

TYPED_TEST(NarrowDTypeTest, ValuesBeyondTheLargestBecomeInfinite) {
  const float max = std::numeric_limits<float>::max();
  EXPECT_EQ(ToFloat(TypeParam::Narrow(max)), INFINITY);
  EXPECT_EQ(ToFloat(TypeParam::Narrow(-max)), -INFINITY);
}

TEST(DTypeTest, RoundsToEveryType) {
  const double third = 1.0 / 3;
  EXPECT_EQ(RoundTo(DType::kFloat64, third), third);
  EXPECT_EQ(RoundTo(DType::kFloat32, third), 1.0f / 3);
  EXPECT_EQ(RoundTo(DType::kFloat16, third), 1365.0 / 4096);
  EXPECT_EQ(RoundTo(DType::kBFloat16, third), 171.0 / 512);
}

}  // namespace
}  // namespace tconv::server
