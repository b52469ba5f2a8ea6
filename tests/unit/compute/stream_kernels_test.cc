#include "server/compute/stream_kernels.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

constexpr size_t kFilters = kStreamFilters;
constexpr float kOldSum = 3;

// Integers whose products and sums are exact in any order.
std::vector<float> Integers(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 7 % 17) - 8;
  return values;
}

std::vector<float> RandomValues(size_t count, uint64_t seed) {
  const Tensor values =
      tconv::testing::RandomTensor(Shape{static_cast<int64_t>(count)}, DType::kFloat32, seed);
  const auto span = values.view().values<float>();
  return {span.begin(), span.end()};
}

std::vector<BFloat16> Narrowed(const std::vector<float>& wide) {
  std::vector<BFloat16> narrow;
  for (const float value : wide) narrow.push_back(ToBFloat16(value));
  return narrow;
}

class StreamKernelsTest : public ::testing::TestWithParam<const StreamKernels*> {
 protected:
  void Multiply(const std::vector<float>& src, const std::vector<float>& weights, size_t rows,
                float* const* sums) const {
    kernels_.multiply(src.data(), weights.data(), weights.size() / kFilters, rows, sums);
  }
  void Multiply(const std::vector<float>& src, const std::vector<BFloat16>& weights, size_t rows,
                float* const* sums) const {
    kernels_.multiply_bfloat16(src.data(), weights.data(), weights.size() / kFilters, rows, sums);
  }

  // The sums of as many rows as fit, of which the first `rows` are multiplied;
  // they lie in memory from the last to the first.
  template <typename Weight>
  std::vector<float> SumsOf(const std::vector<float>& src, const std::vector<Weight>& weights,
                            size_t rows) const {
    std::vector<float> sums(kernels_.max_rows * kFilters, kOldSum);
    std::vector<float*> of_rows;
    for (size_t r = 0; r < rows; ++r) of_rows.push_back(&sums[RowBegin(r)]);
    Multiply(src, weights, rows, of_rows.data());
    return sums;
  }

  size_t RowBegin(size_t row) const { return (kernels_.max_rows - 1 - row) * kFilters; }

  template <typename Weight>
  void ExpectPlainSums(const std::vector<Weight>& weights) const {
    const size_t channels = weights.size() / kFilters;
    for (size_t rows = 1; rows <= kernels_.max_rows; ++rows) {
      const std::vector<float> src = Integers(channels * rows);
      std::vector<float> expected(kernels_.max_rows * kFilters, kOldSum);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t i = 0; i < weights.size(); ++i) {
          expected[RowBegin(r) + i % kFilters] +=
              src[i / kFilters * rows + r] * ToFloat(weights[i]);
        }
      }
      EXPECT_EQ(SumsOf(src, weights, rows), expected) << rows << " rows";
    }
  }

  template <typename Weight>
  void ExpectTheBitsOfARowAlone(const std::vector<Weight>& weights) const {
    const size_t channels = weights.size() / kFilters;
    const std::vector<float> src = RandomValues(channels, 2);
    const std::vector<float> alone = SumsOf(src, weights, 1);
    for (size_t rows = 2; rows <= kernels_.max_rows; ++rows) {
      std::vector<float> repeated;
      for (const float value : src) repeated.insert(repeated.end(), rows, value);
      const std::vector<float> sums = SumsOf(repeated, weights, rows);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t f = 0; f < kFilters; ++f) {
          ASSERT_EQ(sums[RowBegin(r) + f], alone[RowBegin(0) + f]) << r << " of " << rows;
        }
      }
    }
  }

 private:
  static float ToFloat(float value) { return value; }
  static float ToFloat(BFloat16 value) { return tconv::server::ToFloat(value); }

  const StreamKernels& kernels_ = *GetParam();
};

INSTANTIATE_TEST_SUITE_P(Tables, StreamKernelsTest,
                         ::testing::ValuesIn(RunnableStreamKernels().begin(),
                                             RunnableStreamKernels().end()));

TEST_P(StreamKernelsTest, AddsTheProductsOfAnyNumberOfRowsToTheirSums) {
  for (const size_t channels : {0, 1, 2, 5, 300}) ExpectPlainSums(Integers(channels * kFilters));
}

TEST_P(StreamKernelsTest, MultipliesWeightsInBFloat16) {
  for (const size_t channels : {0, 1, 2, 5, 300}) {
    ExpectPlainSums(Narrowed(Integers(channels * kFilters)));
  }
}

TEST_P(StreamKernelsTest, ARowGivesTheSameBitsBesideAnyNumberOfRows) {
  const std::vector<float> weights = RandomValues(300 * kFilters, 1);
  ExpectTheBitsOfARowAlone(weights);
  ExpectTheBitsOfARowAlone(Narrowed(weights));
}

}  // namespace
}  // namespace tconv::server
