#include "client/src/stream_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tconv {
namespace {

// The float of the tensor at every place of the stream.
std::vector<size_t> Places(const StreamOrder& order, size_t bytes) {
  std::vector<size_t> places;
  for (size_t offset = 0; offset < bytes; offset += sizeof(float)) {
    places.push_back(order.At(offset).offset / sizeof(float));
  }
  return places;
}

TEST(StreamOrderTest, PutsTheOutermostSpatialAxisBeforeTheChannels) {
  // [batch 2, channels 3, depth 2, height 2]
  const TensorInfo info{v1::DATA_TYPE_FLOAT32, {2, 3, 2, 2}};
  const StreamOrder order = StreamOrder::ChannelsFirst(info);
  EXPECT_TRUE(order.Reorders());
  std::vector<size_t> expected;
  for (size_t n = 0; n < 2; ++n) {
    for (size_t d = 0; d < 2; ++d) {
      for (size_t c = 0; c < 3; ++c) {
        for (size_t h = 0; h < 2; ++h) expected.push_back(((n * 3 + c) * 2 + d) * 2 + h);
      }
    }
  }
  EXPECT_EQ(Places(order, expected.size() * sizeof(float)), expected);
}

TEST(StreamOrderTest, TransposesTheElementsOfASingleSpatialAxis) {
  const StreamOrder order = StreamOrder::ChannelsFirst({v1::DATA_TYPE_FLOAT32, {1, 2, 3}});
  EXPECT_EQ(Places(order, 24), (std::vector<size_t>{0, 3, 1, 4, 2, 5}));
}

TEST(StreamOrderTest, TellsWhereARunEnds) {
  const StreamOrder order = StreamOrder::ChannelsFirst({v1::DATA_TYPE_FLOAT32, {1, 2, 3, 4}});
  EXPECT_EQ(order.At(0).bytes, 16u);
  EXPECT_EQ(order.At(5).bytes, 11u);
}

TEST(StreamOrderTest, IsThatOfTheTensorWhereBothAreTheSame) {
  for (const Shape& shape : {Shape{2, 1, 5, 5}, Shape{2, 3, 1, 5}, Shape{0, 3, 5}, Shape{4}}) {
    EXPECT_FALSE(StreamOrder::ChannelsFirst({v1::DATA_TYPE_FLOAT32, shape}).Reorders())
        << ToString(shape);
  }
}

}  // namespace
}  // namespace tconv
