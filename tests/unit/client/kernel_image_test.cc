#include "client/cli/kernel_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "client/cli/terminal_colors.h"
#include "client/cli/values.h"

namespace tconv::cli {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor Counting(Shape shape) {
  std::vector<float> values(static_cast<size_t>(*ElementCount(shape)));
  std::iota(values.begin(), values.end(), 0.0F);
  return *Tensor::FromVector(std::move(shape), std::move(values));
}

TEST(ValuesTest, ReadsEveryType) {
  const struct {
    v1::DataType dtype;
    std::string bytes;
    double value;
  } kCases[] = {
      {v1::DATA_TYPE_FLOAT32, std::string("\x00\x00\xc0\xbf", 4), -1.5},
      {v1::DATA_TYPE_FLOAT64, std::string("\x00\x00\x00\x00\x00\x00\xf8\xbf", 8), -1.5},
      {v1::DATA_TYPE_BFLOAT16, std::string("\xc0\xbf", 2), -1.5},
      {v1::DATA_TYPE_FLOAT16, std::string("\x00\xbe", 2), -1.5},
      {v1::DATA_TYPE_FLOAT16, std::string("\x01\x00", 2), 5.9604644775390625e-08},
      {v1::DATA_TYPE_FLOAT16, std::string("\xff\x7b", 2), 65504},
      {v1::DATA_TYPE_FLOAT16, std::string("\x00\xfc", 2), -kInfinity},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(ValueAt(*Tensor::FromBytes(c.dtype, {1}, c.bytes), 0), c.value);
  }
  const Tensor nan = *Tensor::FromBytes(v1::DATA_TYPE_FLOAT16, {1}, std::string("\x01\x7c", 2));
  EXPECT_TRUE(std::isnan(ValueAt(nan, 0)));
}

TEST(KernelStatisticsTest, LeavesOutWhatIsNotFinite) {
  const auto statistics =
      StatisticsOf(*Tensor::FromValues<float>({1, 1, 5}, {1, -3, kInfinity, 5, -1}));
  EXPECT_EQ(statistics.smallest, -3);
  EXPECT_EQ(statistics.largest, 5);
  EXPECT_DOUBLE_EQ(statistics.mean, 0.5);
  EXPECT_DOUBLE_EQ(statistics.deviation, std::sqrt((0.25 + 12.25 + 20.25 + 2.25) / 4));
  EXPECT_EQ(statistics.not_finite, 1);
}

TEST(KernelStatisticsTest, IsZeroWhenNothingIsFinite) {
  const auto statistics = StatisticsOf(*Tensor::FromValues<float>({1, 1, 1}, {kInfinity}));
  EXPECT_EQ(statistics.smallest, 0);
  EXPECT_EQ(statistics.largest, 0);
  EXPECT_EQ(statistics.not_finite, 1);
}

TEST(KernelImageTest, HasACellForEachFilterAndChannel) {
  // [1, 2, 2 filters, 2 channels]: the taps of filter 1 and channel 0 are 2 and 6.
  const KernelImage image(Counting({1, 2, 2, 2}), {0, 2}, {0, 2});
  EXPECT_EQ(image.scale(), 7);
  EXPECT_EQ(image.ToText(),
            "    0  5     1  6\n"
            "\n"
            "    3  8     4  9\n");
}

TEST(KernelImageTest, DrawsWhatIsSelected) {
  const KernelImage image(Counting({1, 2, 2, 2}), {1, 2}, {0, 1});
  EXPECT_EQ(image.scale(), 6);
  EXPECT_EQ(image.ToText(), "    3  9\n");
}

TEST(KernelImageTest, PutsSlicesSideBySideAndRowsBelowEachOther) {
  EXPECT_EQ(KernelImage(Counting({2, 2, 2, 1, 1}), {0, 1}, {0, 1}).ToText(),
            "    0  1     5  6\n"
            "    3  4     8  9\n");
  EXPECT_EQ(KernelImage(Counting({4, 1, 1}), {0, 1}, {0, 1}).ToText(), "    0  3  6  9\n");
}

TEST(KernelImageTest, ShowsSignsAndWhatIsNotFinite) {
  const auto kernel = *Tensor::FromValues<float>({4, 1, 1}, {-2, 0, kInfinity, 1});
  const KernelImage image(kernel, {0, 1}, {0, 1});
  EXPECT_EQ(image.scale(), 2);
  EXPECT_EQ(image.ToText(), "   -9  0  !  5\n");
  const Picture picture = image.ToPicture(1);
  EXPECT_THAT(picture.samples,
              ::testing::ElementsAre(0, 0, 255, 255, 255, 255, 255, 0, 255, 255, 128, 128));
}

TEST(KernelImageTest, DrawsEachWeightAsASquare) {
  const Picture picture = KernelImage(Counting({2, 2, 1, 2}), {0, 1}, {0, 2}).ToPicture(3);
  EXPECT_EQ(picture.width, 15);
  EXPECT_EQ(picture.height, 6);
  EXPECT_EQ(picture.samples.size(), 15u * 6 * 3);
}

TEST(KernelImageTest, DrawsAKernelOfZeros) {
  EXPECT_EQ(KernelImage(*Tensor::FromValues<float>({1, 1, 1}, {0}), {0, 1}, {0, 1}).ToText(),
            "    0\n");
}

TEST(TerminalColorsTest, PutsTwoPixelsIntoACharacter) {
  const Picture picture{
      .width = 1, .height = 3, .channels = 3, .samples = {255, 0, 0, 0, 0, 255, 255, 255, 255}};
  EXPECT_EQ(HalfBlocks(picture),
            "  \x1b[38;5;196m\x1b[48;5;21m▀\x1b[0m\n  \x1b[38;5;231m▀\x1b[0m\n");
}

TEST(TerminalColorsTest, WritesDarkOnLightAndLightOnDark) {
  EXPECT_THAT(OnGray("1", 0), HasSubstr("\x1b[48;5;232m\x1b[38;5;231m1"));
  EXPECT_THAT(OnGray("1", 1), HasSubstr("\x1b[48;5;255m\x1b[38;5;16m1"));
}

}  // namespace
}  // namespace tconv::cli
