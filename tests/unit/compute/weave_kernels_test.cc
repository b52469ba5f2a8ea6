#include "server/compute/weave_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

constexpr size_t kLength = 77;  // not a multiple of any vector

std::vector<float> RandomValues(size_t count, uint64_t seed) {
  const Tensor values =
      tconv::testing::RandomTensor(Shape{static_cast<int64_t>(count)}, DType::kFloat32, seed);
  const auto span = values.view().values<float>();
  return {span.begin(), span.end()};
}

// Every table that this CPU can run is compared to the narrowest.
class WeaveKernelsTest : public ::testing::TestWithParam<const WeaveKernels*> {
 protected:
  const WeaveKernels& kernels_ = *GetParam();
  const WeaveKernels& expected_ = *RunnableWeaveKernels().back();
};

INSTANTIATE_TEST_SUITE_P(Tables, WeaveKernelsTest,
                         ::testing::ValuesIn(RunnableWeaveKernels().begin(),
                                             RunnableWeaveKernels().end()));

TEST_P(WeaveKernelsTest, SumsAnyNumberOfRowsInOrder) {
  const std::vector<float> values = RandomValues(9 * kLength, 1);
  std::vector<const float*> rows;
  for (size_t r = 0; r < 9; ++r) rows.push_back(values.data() + r * kLength);
  for (const size_t count : {1, 2, 5, 9}) {
    for (size_t length = 1; length <= kLength; ++length) {
      std::vector<float> sums(kLength, -1);
      kernels_.sum_rows(rows.data(), count, length, sums.data());
      for (size_t i = 0; i < length; ++i) {
        float sum = rows[0][i];
        for (size_t r = 1; r < count; ++r) sum += rows[r][i];
        ASSERT_EQ(sums[i], sum);
      }
      ASSERT_TRUE(length == kLength || sums[length] == -1);
    }
  }
}

TEST_P(WeaveKernelsTest, SumsAnyNumberOfBlocksInOrder) {
  constexpr size_t kSlack = 15;  // that may be read and written
  for (const size_t count : {1, 2, 5}) {
    for (const size_t blocks : {1, 3, 4, 9}) {
      for (size_t length = 1; length <= 40; ++length) {
        const size_t stride = length + count;
        std::vector<std::vector<float>> values;
        std::vector<Blocks> terms;
        for (size_t t = 0; t < count; ++t) {
          values.push_back(RandomValues((blocks - 1) * stride + length + kSlack, t));
          terms.push_back({values.back().data(), stride});
        }
        std::vector<float> sums(blocks * length + kSlack, -1);
        kernels_.sum_blocks(terms.data(), count, blocks, length, sums.data());
        for (size_t i = 0; i < blocks * length; ++i) {
          const size_t from = i / length * stride + i % length;
          float sum = values[0][from];
          for (size_t t = 1; t < count; ++t) sum += values[t][from];
          ASSERT_EQ(sums[i], sum) << count << " terms, " << blocks << " blocks of " << length;
        }
      }
    }
  }
}

TEST_P(WeaveKernelsTest, CopiesBlocksOfAnyLengthAndLeavesTheRestAlone) {
  constexpr size_t kSrcStride = 70;
  constexpr size_t kDstStride = 65;
  constexpr std::byte kOld{0x41};
  for (const size_t blocks : {0, 1, 3}) {
    for (size_t length = 1; length <= 64; ++length) {
      std::vector<std::byte> src(3 * kSrcStride);
      for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<std::byte>(i);
      std::vector<std::byte> expected(3 * kDstStride, kOld);
      for (size_t b = 0; b < blocks; ++b) {
        std::memcpy(&expected[b * kDstStride], &src[b * kSrcStride], length);
      }
      std::vector<std::byte> dst(3 * kDstStride, kOld);
      kernels_.copy_blocks(src.data(), kSrcStride, blocks, length, dst.data(), kDstStride);
      ASSERT_EQ(dst, expected) << blocks << " blocks of " << length;
    }
  }
}

TEST_P(WeaveKernelsTest, FinishesRowsWithTheBitsOfEveryOtherTable) {
  const std::vector<float> sums = RandomValues(3 * kLength, 2);
  const std::vector<float> bias = RandomValues(kLength, 3);
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (const auto activation :
         {WovenActivation::kLinear, WovenActivation::kRelu, WovenActivation::kLeakyRelu}) {
      const WeaveRule rule = {dtype, activation, 0.2f};
      const RowsOfSums rows = {sums.data(), kLength, 3, kLength};
      for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
        std::vector<float> actual(3 * kLength), expected(3 * kLength);
        kernels_.finish_rows(rule, rows, b, false, actual.data(), kLength);
        expected_.finish_rows(rule, rows, b, false, expected.data(), kLength);
        EXPECT_EQ(std::memcmp(actual.data(), expected.data(), 3 * kLength * SizeOf(dtype)), 0);
      }
    }
  }
}

TEST_P(WeaveKernelsTest, InterleavesWithTheBitsOfEveryOtherTable) {
  const std::vector<float> values = RandomValues(8 * kLength, 4);
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (size_t planes = 1; planes <= 8; ++planes) {
      std::vector<float> actual(8 * kLength), expected(8 * kLength);
      kernels_.interleave(dtype, values.data(), kLength, planes, kLength, actual.data());
      expected_.interleave(dtype, values.data(), kLength, planes, kLength, expected.data());
      EXPECT_EQ(actual, expected) << planes;
    }
  }
}

TEST_P(WeaveKernelsTest, AnActivatedValueDoesNotDependOnItsPlace) {
  const std::vector<float> values = RandomValues(kLength, 5);
  std::vector<float> together = values;
  if (!kernels_.activate(VectorActivation::kTanh, 0, together.data(), kLength)) GTEST_SKIP();
  for (size_t i = 0; i < kLength; ++i) {
    float alone = values[i];
    kernels_.activate(VectorActivation::kTanh, 0, &alone, 1);
    EXPECT_EQ(alone, together[i]);
    EXPECT_NEAR(alone, std::tanh(values[i]), 1e-6);
  }
}

TEST_P(WeaveKernelsTest, ActivatesChannelsNearlyAsEveryOtherTable) {
  for (const auto activation : {ChannelActivation::kSoftmax, ChannelActivation::kLogSoftmax}) {
    for (const size_t channels : {1, 2, 3, 5, 8, 19, 77}) {
      const std::vector<float> values = RandomValues(33 * channels, 8);
      for (size_t positions = 1; positions <= 33; ++positions) {
        std::vector<float> actual = values, expected = values;
        kernels_.activate_channels(activation, actual.data(), positions, channels);
        expected_.activate_channels(activation, expected.data(), positions, channels);
        for (size_t i = 0; i < actual.size(); ++i) {
          ASSERT_NEAR(actual[i], expected[i], 2e-6) << channels << " channels, " << positions;
        }
      }
    }
  }
}

// Elements of any type as floats.
std::vector<float> Widened(ConstTensorView values) {
  const Tensor wide = Tensor::Converted(values, DType::kFloat32).value();
  const auto span = wide.view().values<float>();
  return {span.begin(), span.end()};
}

Tensor Filled(DType dtype, int64_t count) {
  Tensor values = Tensor::Allocate(dtype, Shape{count}).value();
  std::memset(values.mutable_view().data, 0x41, static_cast<size_t>(values.size_bytes()));
  return values;
}

TEST_P(WeaveKernelsTest, TransposesMatricesOfAnySizeAndLeavesTheRestAlone) {
  constexpr size_t kSizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 35};
  constexpr size_t kStride = 37;
  constexpr std::pair<DType, DType> kTypes[] = {
      {DType::kFloat32, DType::kFloat32},   {DType::kFloat32, DType::kFloat16},
      {DType::kFloat32, DType::kBFloat16},  {DType::kFloat16, DType::kFloat32},
      {DType::kFloat16, DType::kFloat16},   {DType::kBFloat16, DType::kFloat32},
      {DType::kBFloat16, DType::kBFloat16},
  };
  for (const auto& [from, to] : kTypes) {
    const Tensor src = tconv::testing::RandomTensor(Shape{kStride * kStride}, from, 6);
    const Tensor cast = Tensor::Converted(src.view(), to).value();
    const std::vector<float> values = Widened(cast.view());
    for (const size_t rows : kSizes) {
      for (const size_t columns : kSizes) {
        Tensor dst = Filled(to, kStride * kStride);
        std::vector<float> expected = Widened(dst.view());
        for (size_t r = 0; r < rows; ++r) {
          for (size_t c = 0; c < columns; ++c) {
            expected[c * kStride + r] = values[r * kStride + c];
          }
        }
        kernels_.transpose({rows, columns, from, kStride, to, kStride}, src.view().data,
                           dst.mutable_view().data);
        ASSERT_EQ(Widened(dst.view()), expected)
            << NameOf(from) << " to " << NameOf(to) << ", " << rows << " x " << columns;
      }
    }
  }
}

TEST_P(WeaveKernelsTest, WidensExactly) {
  std::vector<BFloat16> narrow(kLength);
  for (size_t i = 0; i < kLength; ++i) narrow[i] = ToBFloat16(static_cast<float>(i) - 30.5f);
  std::vector<float> wide(kLength);
  kernels_.widen(narrow.data(), kLength, wide.data());
  for (size_t i = 0; i < kLength; ++i) EXPECT_EQ(wide[i], ToFloat(narrow[i]));
}

}  // namespace
}  // namespace tconv::server
