// The client's streams against the real server: the same tensors as by messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

Tensor Counting(Shape shape) {
  std::vector<float> values(static_cast<size_t>(*ElementCount(shape)));
  std::iota(values.begin(), values.end(), 0.0F);
  return *Tensor::FromVector(std::move(shape), std::move(values));
}

class ClientStreamTest : public ::testing::Test {
 protected:
  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
};

TEST_F(ClientStreamTest, ForwardAnswersTheSameByStreamAndByMessage) {
  const struct {
    v1::DataFormat format;
    Shape input;
  } kCases[] = {{v1::DATA_FORMAT_CHANNELS_LAST, {3, 67, 131, 3}},
                {v1::DATA_FORMAT_CHANNELS_FIRST, {3, 3, 67, 131}}};
  for (const auto& test : kCases) {
    v1::LayerConfig config = SmallConfig();
    config.set_data_format(test.format);
    const std::string name = v1::DataFormat_Name(test.format);
    ASSERT_THAT(client_.Create({.name = name, .definition = config, .weights = SmallWeights(0.5F)}),
                IsOk());
    const Tensor input = Counting(test.input);
    const auto message = client_.Forward(name, input, {.transfer = Transfer::kMessage});
    const auto stream = client_.Forward(name, input, {.transfer = Transfer::kStream});
    ASSERT_THAT(message, IsOk()) << name;
    ASSERT_THAT(stream, IsOk()) << name;
    EXPECT_EQ(stream->output.shape(), message->output.shape()) << name;
    EXPECT_TRUE(stream->output.bytes() == message->output.bytes()) << name;
    EXPECT_TRUE(stream->timing.has_value()) << name;
  }
}

TEST_F(ClientStreamTest, LargeWeightsComeBackBitForBit) {
  v1::LayerConfig config = SmallConfig();
  config.set_filters(1024);
  ASSERT_THAT(
      client_.Create({.name = "up", .definition = config, .input_shape = {-1, -1, -1, 768}}),
      IsOk());
  const Weights weights{.kernel = Counting({2, 2, 1024, 768}), .bias = Counting({1024})};
  ASSERT_GE(weights.kernel.bytes().size(), kStreamedBytes);
  ASSERT_THAT(client_.SetWeights("up", weights), IsOkAndHolds(2));
  const auto answer = client_.GetWeights("up");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->version, 2);
  EXPECT_TRUE(answer->weights.kernel.bytes() == weights.kernel.bytes());
  EXPECT_TRUE(answer->weights.bias->bytes() == weights.bias->bytes());
}

}  // namespace
}  // namespace tconv::testing
