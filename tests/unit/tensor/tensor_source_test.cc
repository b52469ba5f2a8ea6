#include "server/tensor/tensor_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace tconv::server {
namespace {

using ::testing::ElementsAre;

// Counts how often its elements move, and where to.
class CountingSource final : public TensorSource {
 public:
  DType dtype() const override { return DType::kFloat32; }
  const Shape& shape() const override { return shape_; }
  void MoveTo(std::byte* dst) override {
    ++moves;
    destination = dst;
    std::memcpy(dst, values_.data(), sizeof(values_));
  }

  int moves = 0;
  const std::byte* destination = nullptr;

 private:
  const Shape shape_{3};
  const std::array<float, 3> values_ = {1, 2, 3};
};

TEST(TensorSourceTest, ElementsOfTheRightTypeMoveOnceToWhereTheyAreRead) {
  CountingSource source;
  const Tensor fetched = *Fetch(source, DType::kFloat32);
  EXPECT_EQ(source.moves, 1);
  EXPECT_EQ(source.destination, fetched.view().data);
  EXPECT_THAT(fetched.view().values<float>(), ElementsAre(1, 2, 3));
}

TEST(TensorSourceTest, ElementsOfAnotherTypeAreConverted) {
  CountingSource source;
  const Tensor fetched = *Fetch(source, DType::kFloat64);
  EXPECT_EQ(source.moves, 1);
  EXPECT_THAT(fetched.view().values<double>(), ElementsAre(1, 2, 3));
}

TEST(TensorSourceTest, AViewNeedsNoAlignment) {
  std::array<std::byte, 9> bytes{};
  const float value = 7;
  std::memcpy(bytes.data() + 1, &value, sizeof(value));
  ViewSource source({DType::kFloat32, Shape({1}), bytes.data() + 1});
  EXPECT_EQ(source.InPlace(), nullptr);
  EXPECT_THAT(Fetch(source, DType::kFloat32)->view().values<float>(), ElementsAre(7));
}

}  // namespace
}  // namespace tconv::server
