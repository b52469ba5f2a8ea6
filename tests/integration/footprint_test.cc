// What `tconv inspect` draws is what the server computes: an input of ones through a kernel
// of ones counts the taps that reach each output.
#include "client/cli/footprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv {
namespace {

using cli::Footprint;
using tconv::testing::Filled;
using tconv::testing::IsOk;
using tconv::testing::TestServer;

class RandomLayers {
 public:
  // One to three axes, with every kind of padding.
  v1::LayerConfig Next() {
    const int rank = Pick(1, 3);
    v1::LayerConfig config;
    config.set_class_name("Conv" + std::to_string(rank) + "DTranspose");
    config.set_filters(1);
    config.set_use_bias(false);
    config.set_padding(Pick(0, 1) == 0 ? v1::PADDING_VALID : v1::PADDING_SAME);
    const bool is_dilated = Pick(0, 2) == 0;
    const bool has_output_padding = Pick(0, 1) == 0;
    for (int axis = 0; axis < rank; ++axis) {
      const int stride = is_dilated ? 1 : Pick(1, 4);
      config.add_kernel_size(Pick(1, 6));
      config.add_strides(stride);
      config.add_dilation_rate(is_dilated ? Pick(1, 3) : 1);
      if (has_output_padding) config.add_output_padding(Pick(0, stride - 1));
    }
    return config;
  }
  int Pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

 private:
  std::mt19937 random_{1};
};

std::vector<Footprint> FootprintsOf(const v1::LayerConfig& config, RandomLayers& random) {
  std::vector<Footprint> footprints;
  for (int axis = 0; axis < config.kernel_size_size(); ++axis) {
    footprints.push_back(cli::FootprintOf(config, axis, random.Pick(1, 4)));
  }
  return footprints;
}

// [1, extents..., 1]
Shape ShapeOf(const std::vector<Footprint>& axes, int64_t Footprint::*extent) {
  Shape shape = {1};
  for (const Footprint& axis : axes) shape.push_back(axis.*extent);
  shape.push_back(1);
  return shape;
}

// In row-major order.
std::vector<float> CoverageOf(const std::vector<Footprint>& axes) {
  std::vector<float> coverage = {1};
  for (const Footprint& axis : axes) {
    std::vector<float> next;
    for (const float taps : coverage) {
      for (int64_t position = 0; position < axis.out; ++position) {
        next.push_back(taps * static_cast<float>(axis.Coverage(position)));
      }
    }
    coverage = std::move(next);
  }
  return coverage;
}

TEST(FootprintsTest, CountTheTapsThatTheServerAddsUp) {
  const auto server = TestServer::Start();
  const Client client(server->target());
  RandomLayers random;
  for (int i = 0; i < 300; ++i) {
    const v1::LayerConfig config = random.Next();
    SCOPED_TRACE(config.ShortDebugString());
    Shape kernel(config.kernel_size().begin(), config.kernel_size().end());
    kernel.insert(kernel.end(), {1, 1});
    ASSERT_THAT(client.Create({.name = "counter",
                               .definition = config,
                               .weights = Weights{.kernel = Filled(kernel, 1)}}),
                IsOk());
    const std::vector<Footprint> axes = FootprintsOf(config, random);
    const auto result = client.Forward("counter", Filled(ShapeOf(axes, &Footprint::in), 1));
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->output.shape(), ShapeOf(axes, &Footprint::out));
    const auto values = *result->output.values<float>();
    EXPECT_EQ(std::vector<float>(values.begin(), values.end()), CoverageOf(axes));
    ASSERT_THAT(client.Delete("counter"), IsOk());
  }
}

}  // namespace
}  // namespace tconv
