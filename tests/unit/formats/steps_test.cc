#include "formats/steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "formats/keras_model.h"
#include "tests/support/status_matchers.h"

namespace tconv::formats {
namespace {

using tconv::testing::IsOk;
using tconv::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kLayer[] =
    R"({"class_name": "Conv1DTranspose", "config": {"name": "up", "filters": 1, "kernel_size": 1}})";

std::string Sequential(const std::string& layers) {
  return R"({"class_name": "Sequential", "config": {"name": "m", "layers": [)" + layers + "]}}";
}

std::string Other(const std::string& class_name, const std::string& config = "") {
  return R"({"class_name": ")" + class_name + R"(", "config": {"name": "x")" + config + "}}";
}

absl::StatusOr<std::vector<Step>> Steps(const std::string& json) {
  const auto entry = ParseModelJson(json);
  if (!entry.ok()) return entry.status();
  return StepsOf(*entry);
}

// "0 relu{} 1": indices of layers, and activations.
std::string Text(const std::vector<Step>& steps) {
  std::string text;
  for (const Step& step : steps) {
    if (!text.empty()) text += ' ';
    if (const auto* layer = std::get_if<size_t>(&step)) {
      text += std::to_string(*layer);
    } else {
      const auto& activation = std::get<ActivationStep>(step);
      text += activation.name + activation.arguments.dump();
    }
  }
  return text;
}

TEST(StepsTest, KnowsTheFormsOfActivations) {
  struct Case {
    std::string layer;
    std::string step;
  };
  const Case kCases[] = {
      {Other("Activation", R"(, "activation": "relu")"), R"(relu{})"},
      {Other("Activation", R"(, "activation": "linear")"), ""},
      {Other("Activation", R"(, "activation": {"class_name": "function", "config": "relu6"})"),
       R"(relu6{})"},
      {Other("Activation", R"(, "activation": )" + Other("LeakyReLU", R"(, "alpha": 0.1)")),
       R"(LeakyReLU{"alpha":0.1})"},
      {Other("ReLU", R"(, "trainable": true, "dtype": "float32", "max_value": 6.0)"),
       R"(ReLU{"max_value":6.0})"},
      {Other("ELU", R"(, "alpha": 1.5)"), R"(ELU{"alpha":1.5})"},
      {Other("Softmax", R"(, "axis": -1)"), R"(Softmax{"axis":-1})"},
  };
  for (const Case& c : kCases) {
    const auto steps = Steps(Sequential(std::string(kLayer) + "," + c.layer));
    ASSERT_THAT(steps, IsOk()) << c.layer;
    EXPECT_EQ(Text(*steps), c.step.empty() ? "0" : "0 " + c.step);
  }
}

TEST(StepsTest, LeavesOutWhatDoesNothingAtInference) {
  const auto steps = Steps(Sequential(Other("InputLayer") + "," + kLayer + "," + Other("Dropout") +
                                      "," + Other("GaussianNoise")));
  ASSERT_THAT(steps, IsOk());
  EXPECT_EQ(Text(*steps), "0");
}

TEST(StepsTest, FlattensNestedSequentials) {
  std::string second = kLayer;
  second.replace(second.find("up"), 2, "up2");
  const auto steps =
      Steps(Sequential(Sequential(std::string(kLayer) + "," + Other("ReLU")) + "," + second));
  ASSERT_THAT(steps, IsOk());
  EXPECT_EQ(Text(*steps), "0 ReLU{} 1");
}

TEST(StepsTest, RefusesByNameWhatIsNoStep) {
  struct Case {
    std::string json;
    std::string message;
  };
  const std::string layer = kLayer;
  const std::string functional =
      R"({"class_name": "Functional", "config": {"name": "f", "layers": [)" + layer + "]}}";
  const Case kCases[] = {
      {functional, "expected a Sequential, got \"Functional\""},
      {Sequential(functional), "f: expected a Sequential"},
      {layer, "layers without one"},
      {Sequential(layer + "," + Other("BatchNormalization")), "x: a BatchNormalization is neither"},
      {Sequential(layer + "," + Other("PReLU")), "x: a PReLU is neither"},
      {Sequential(Other("ReLU") + "," + layer), "x: expected a transposed convolution before"},
      {Sequential(layer + "," + Other("ReLU", R"(, "dtype": "float64")")),
       "x: expected an activation in float32"},
      {Sequential(layer + "," + Other("Activation", R"(, "activation": 7)")),
       "x: expected an activation, got 7"},
      {Sequential(layer + R"(, {"class_name": "Activation", "config": "x"})"),
       "expected an activation"},
      {Sequential(layer + R"(, {"class_name": "ReLU"})"), "expected an activation"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Steps(c.json), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.json;
  }
}

TEST(StepsTest, ComparesWhatLayersComputeIn) {
  std::string mixed = kLayer;
  mixed.replace(mixed.find("\"filters\""), 0,
                R"("dtype": {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}, )");
  EXPECT_THAT(Steps(Sequential(mixed + "," + Other("ReLU", R"(, "dtype": "float16")"))), IsOk());
  EXPECT_FALSE(Steps(Sequential(mixed + "," + Other("ReLU", R"(, "dtype": "float32")"))).ok());
}

}  // namespace
}  // namespace tconv::formats
