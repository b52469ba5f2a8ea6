#include "server/tensor/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::StatusIs;
using ::testing::ElementsAre;

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16};

ConstTensorView ViewOf(std::span<const double> values) {
  Shape shape = *Shape::Make(std::array<int64_t, 1>{static_cast<int64_t>(values.size())});
  return {DType::kFloat64, shape, reinterpret_cast<const std::byte*>(values.data())};
}

TEST(TensorTest, AllocatesAlignedMemory) {
  for (const DType dtype : kDTypes) {
    const auto tensor = Tensor::Allocate(dtype, Shape({3, 5}));
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->view().data) % Tensor::kAlignment, 0u);
    EXPECT_EQ(tensor->size_bytes(), 15 * static_cast<int64_t>(SizeOf(dtype)));
  }
}

TEST(TensorTest, LargeTensorsBeginOnAHugePage) {
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  for (const int64_t bytes : {4 << 20, (4 << 20) + 1, 33 << 20}) {
    Tensor tensor = *Tensor::Allocate(DType::kBFloat16, Shape({(bytes + 1) / 2}));
    const TensorView view = tensor.mutable_view();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % kHugePage, 0u) << bytes;
    std::memset(view.data, 1, static_cast<size_t>(view.size_bytes()));
    const Tensor moved = std::move(tensor);
    EXPECT_EQ(moved.view().data[view.size_bytes() - 1], std::byte{1});
  }
}

TEST(TensorTest, ATensorMayChangeFromLargeToSmall) {
  Tensor tensor = *Tensor::Allocate(DType::kFloat64, Shape({1 << 20}));
  tensor = *Tensor::Allocate(DType::kFloat64, Shape({1}));
  EXPECT_EQ(tensor.size_bytes(), 8);
  tensor = *Tensor::Allocate(DType::kFloat64, Shape({1 << 20}));
  EXPECT_EQ(tensor.size_bytes(), 8 << 20);
}

TEST(TensorTest, SaysWhenThereIsNoMemory) {
  EXPECT_THAT(Tensor::Allocate(DType::kFloat64, Shape({int64_t{1} << 59})),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST(TensorTest, ConvertsBetweenAllTypes) {
  const std::array<double, 4> values = {0.0, -1.5, 2048.0, 0.0078125};
  for (const DType from : kDTypes) {
    const Tensor source = *Tensor::Converted(ViewOf(values), from);
    for (const DType to : kDTypes) {
      const Tensor converted = *Tensor::Converted(source.view(), to);
      const Tensor back = *Tensor::Converted(converted.view(), DType::kFloat64);
      EXPECT_THAT(back.view().values<double>(), ElementsAre(0.0, -1.5, 2048.0, 0.0078125))
          << NameOf(from) << " to " << NameOf(to);
    }
  }
}

TEST(TensorTest, ConvertsFromUnalignedMemory) {
  std::array<std::byte, 9> bytes{};
  const double value = 3.25;
  std::memcpy(bytes.data() + 1, &value, sizeof(value));
  const ConstTensorView view{DType::kFloat64, Shape({1}), bytes.data() + 1};
  EXPECT_THAT(Tensor::Converted(view, DType::kFloat32)->view().values<float>(), ElementsAre(3.25f));
}

TEST(TensorTest, ConvertsEmptyTensors) {
  EXPECT_EQ(Tensor::Converted({DType::kFloat64, Shape({0, 3}), nullptr}, DType::kBFloat16)->shape(),
            Shape({0, 3}));
}

}  // namespace
}  // namespace tconv::server
