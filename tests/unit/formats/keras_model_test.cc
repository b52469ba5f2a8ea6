#include "formats/keras_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace tconv::formats {
namespace {

using tconv::testing::IsOk;
using tconv::testing::StatusIs;

TEST(KerasModelTest, WritesClassesInSnakeCaseAsKerasDoes) {
  struct Case {
    std::string class_name;
    std::string snake;
  };
  const Case kCases[] = {{"Conv2DTranspose", "conv2d_transpose"},
                         {"BatchNormalization", "batch_normalization"},
                         {"ReLU", "re_lu"},
                         {"LeakyReLU", "leaky_re_lu"},
                         {"PReLU", "p_re_lu"},
                         {"GRUCell", "gru_cell"},
                         {"VGG16Net", "vgg16_net"},
                         {"MyModelV2", "my_model_v2"},
                         {"My>Custom", "my_custom"},
                         {"ELU", "elu"}};
  for (const Case& c : kCases) EXPECT_EQ(ToSnakeCase(c.class_name), c.snake);
}

TEST(KerasModelTest, NamesLayersThatHaveNoName) {
  const auto model = ParseModelJson(
      R"([{"class_name": "Conv1DTranspose", "config": {"filters": 1, "kernel_size": 1}},
          {"class_name": "Conv1DTranspose", "config": {"filters": 1, "kernel_size": 1}}])");
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->layers[0].name, "conv1d_transpose");
  EXPECT_EQ(model->layers[1].name, "conv1d_transpose_1");
  EXPECT_EQ(model->name, "");
}

TEST(KerasModelTest, ReadsSequentialsThatAreLists) {
  const auto model = ParseModelJson(
      R"({"class_name": "Sequential", "config": [
          {"class_name": "Conv1DTranspose",
           "config": {"name": "up", "filters": 4, "kernel_size": [3], "use_bias": false}}]})");
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->name, "sequential");
  EXPECT_EQ(model->layers[0].kernel_shape, Shape({3, 4, -1}));
  EXPECT_FALSE(model->layers[0].use_bias);
}

TEST(KerasModelTest, BoundsItsDepth) {
  std::string json = "1";
  for (int i = 0; i < 300; ++i) json = "[" + json + "]";
  EXPECT_THAT(ParseModelJson(json), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tconv::formats
