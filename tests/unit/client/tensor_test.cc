#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/tensor.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(TensorTest, KeepsTypeShapeAndValues) {
  const auto tensor = Tensor::FromValues<double>({2, 1, 2}, {1, 2, 3, -4.5});
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->dtype(), v1::DATA_TYPE_FLOAT64);
  EXPECT_THAT(tensor->shape(), ElementsAre(2, 1, 2));
  EXPECT_THAT(tensor->values<double>(), IsOkAndHolds(ElementsAre(1, 2, 3, -4.5)));
}

TEST(TensorTest, StoresLittleEndianBytes) {
  const auto tensor = Tensor::FromValues<float>({}, {1.0f});
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->bytes(), std::string("\x00\x00\x80\x3f", 4));
}

TEST(TensorTest, MovesItsBytesInAndOut) {
  std::string bytes(1000, '\x01');
  const char* address = bytes.data();
  auto tensor = Tensor::FromBytes(v1::DATA_TYPE_BFLOAT16, {500}, std::move(bytes));
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->bytes().data(), address);
}

TEST(TensorTest, TakesOverAVectorWithoutACopy) {
  std::vector<float> values(1000, 1);
  const float* address = values.data();
  const auto tensor = Tensor::FromVector<float>({10, 100}, std::move(values));
  ASSERT_THAT(tensor, IsOk());
  EXPECT_EQ(tensor->values<float>()->data(), address);
}

TEST(TensorTest, SharesTheMemoryOfItsOwnerUntilTheLastCopyIsGone) {
  const auto memory = std::make_shared<std::array<float, 4>>();
  std::weak_ptr<void> alive;
  {
    const auto owner = std::shared_ptr<const void>(memory.get(), [](const void*) {});
    auto tensor =
        Tensor::FromMemory(v1::DATA_TYPE_FLOAT32, {4}, std::as_bytes(std::span(*memory)), owner);
    ASSERT_THAT(tensor, IsOk());
    EXPECT_EQ(tensor->values<float>()->data(), memory->data());
    const Tensor copy = *tensor;
    *tensor = Tensor();
    EXPECT_EQ(copy.values<float>()->data(), memory->data());
    EXPECT_EQ(owner.use_count(), 2);
  }
}

TEST(TensorTest, BeginsItsOwnMemoryAtMultiplesOf64Bytes) {
  for (const int64_t count : {1, 3, 1000, 1 << 20}) {
    const std::vector<float> values(static_cast<size_t>(count), 1);
    const auto tensor = Tensor::FromValues<float>({count}, values);
    ASSERT_THAT(tensor, IsOk());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->bytes().data()) % 64, 0u) << count;
    EXPECT_THAT(*tensor->values<float>(), ElementsAreArray(values));
  }
}

TEST(TensorTest, RefusesMemoryThatIsNotAligned) {
  alignas(8) const std::array<std::byte, 16> memory{};
  EXPECT_THAT(
      Tensor::FromMemory(v1::DATA_TYPE_FLOAT32, {2}, std::span(memory).subspan(2, 8), nullptr),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a multiple of 4 bytes")));
}

TEST(TensorTest, RefusesToReadAnotherType) {
  const auto tensor = Tensor::FromValues<float>({1}, {1.0f});
  EXPECT_THAT(tensor->values<double>(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expected float64 elements, got float32")));
}

TEST(TensorTest, RefusesBytesThatDoNotFit) {
  struct Case {
    v1::DataType dtype;
    Shape shape;
    size_t bytes;
    std::string message;
  };
  const Case kCases[] = {
      {v1::DATA_TYPE_FLOAT32, {2, 3}, 20, "expected 6 elements of 4 bytes for the shape (2, 3)"},
      {v1::DATA_TYPE_FLOAT32, {1}, 5, "got 5 bytes"},
      {v1::DATA_TYPE_FLOAT16, {0, 5}, 2, "expected 0 elements"},
      {v1::DATA_TYPE_FLOAT64, {-1}, 8, "no negative extent, got (-1,)"},
      {v1::DATA_TYPE_FLOAT64, {kMax, 2}, 8, "at most 2^63 - 1 elements"},
      {v1::DATA_TYPE_UNSPECIFIED, {1}, 4, "got unspecified"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Tensor::FromBytes(c.dtype, c.shape, std::string(c.bytes, '\0')),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(TensorTest, CountsTheElementsOfAnyShapeWithAZeroAsNone) {
  EXPECT_THAT(ElementCount(Shape{kMax, kMax, 0}), IsOkAndHolds(0));
  EXPECT_THAT(ElementCount(Shape{}), IsOkAndHolds(1));
}

}  // namespace
}  // namespace tconv
