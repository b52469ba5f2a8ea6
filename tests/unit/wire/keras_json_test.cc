#include "server/wire/keras_json.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "server/wire/layer_codec.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;

// A serialized Conv2DTranspose whose config has `members` (the text of an
// object's members) beside what every layer needs.
std::string Layer(const std::string& members) {
  Json config = {{"filters", 2}, {"kernel_size", 3}};
  config.update(Json::parse("{" + members + "}"));
  return Json{{"class_name", "Conv2DTranspose"}, {"config", config}}.dump();
}

StatusOr<LayerConfig> ConfigOf(const std::string& text) {
  TCONV_ASSIGN_OR_RETURN(const KerasLayer layer, ParseKerasJson(text));
  return LayerConfigFromProto(layer.config);
}

// What the layer is printed as: equal for equal layers.
Json Printed(const std::string& text) {
  const StatusOr<LayerConfig> config = ConfigOf(text);
  EXPECT_THAT(config, IsOk()) << text;
  return config.ok() ? Json::parse(ToKerasJson(*config, 0).value_or("null")) : Json();
}

TEST(KerasJsonTest, ReadsEverySpellingOfTheSameLayer) {
  const struct {
    std::string spelling;
    std::string same_as;
  } kCases[] = {
      {R"("kernel_size": [3, 3], "strides": 2)", R"("strides": [2, 2])"},
      {R"("kernel_size": {"class_name": "__tuple__", "items": [3, 3]})", ""},
      {R"("padding": "SAME")", R"("padding": "same")"},
      {R"("data_format": "Channels_First")", R"("data_format": "channels_first")"},
      {R"("data_format": null, "output_padding": null, "name": null, "dtype": null)", ""},
      {R"("activation": null)", R"("activation": "linear")"},
      {R"("activation": "swish")", R"("activation": "silu")"},
      {R"("activation": "softmax_v2")", R"("activation": "softmax")"},
      {R"("activation": {"module": "builtins", "class_name": "function", "config": "relu",
           "registered_name": "function"})",
       R"("activation": "relu")"},
      {R"("activation": {"class_name": "LeakyReLU", "config": {"name": "a", "alpha": 0.2}})",
       R"("activation": "leaky_relu")"},
      {R"("activation": {"class_name": "Activation", "config": {"name": "a", "trainable": true,
           "activation": {"class_name": "function", "config": "tanh"}}})",
       R"("activation": "tanh")"},
      {R"("dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}})",
       R"("dtype": "mixed_float16")"},
      {R"("kernel_initializer": null)", R"("kernel_initializer": "glorot_uniform")"},
      {R"("bias_initializer": null)", R"("bias_initializer": "GlorotUniform")"},
      {R"("kernel_initializer": {"class_name": "HeNormal",
           "config": {"seed": null, "input_axes": null, "colour": null, "dtype": "float32"}})",
       R"("kernel_initializer": "he_normal")"},
      {R"("kernel_initializer": {"class_name": "HeNormal", "config": {"seed": {"module":
           "keras.random", "class_name": "SeedGenerator", "config": {"name": "s", "seed": 7}}}})",
       R"("kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 7}})"},
      {R"("kernel_regularizer": "l1_l2")",
       R"("kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.01}})"},
      {R"("kernel_regularizer": "l1l2")",
       R"("kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0, "l2": 0}})"},
      {R"("bias_regularizer": {"class_name": "L2", "config": {"l2": null}})",
       R"("bias_regularizer": "l2")"},
      {R"("kernel_constraint": "maxnorm")",
       R"("kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}})"},
      {R"("groups": 1, "dynamic": false, "batch_input_shape": [null, 4, 4, 2])", ""},
      {R"("autocast": true, "input_dim": 3, "batch_size": null, "implementation": 1)", ""},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.spelling);
    EXPECT_EQ(Printed(Layer(c.spelling)), Printed(Layer(c.same_as)));
  }
}

TEST(KerasJsonTest, TellsEveryPossibleDifference) {
  const std::string plain = Layer("");
  const char* const kDifferences[] = {
      R"("name": "up")",
      R"("trainable": false)",
      R"("dtype": "bfloat16")",
      R"("filters": 3)",
      R"("kernel_size": [3, 2])",
      R"("strides": [1, 2])",
      R"("padding": "same")",
      R"("output_padding": 0)",
      R"("data_format": "channels_first")",
      R"("dilation_rate": 2)",
      R"("activation": "relu")",
      R"("use_bias": false)",
      R"("kernel_initializer": "ones")",
      R"("bias_initializer": null)",
      R"("kernel_regularizer": "l1")",
      R"("bias_regularizer": "l1")",
      R"("activity_regularizer": "l1")",
      R"("kernel_constraint": "non_neg")",
      R"("bias_constraint": "non_neg")",
  };
  for (const char* difference : kDifferences) {
    EXPECT_NE(Printed(Layer(difference)), Printed(plain)) << difference;
  }
}

TEST(KerasJsonTest, NamesTheMemberThatIsWrong) {
  const struct {
    std::string members;
    std::string error;
  } kCases[] = {
      {R"("filters": null)", "filters: expected an integer, got null"},
      {R"("filters": 2.0)", "filters: expected an integer, got 2.0"},
      {R"("filters": true)", "filters: expected an integer, got true"},
      {R"("filters": 9223372036854775808)", "filters: expected an integer"},
      {R"("kernel_size": [])", "kernel_size: expected an integer or a list of 2 integers, got []"},
      {R"("kernel_size": [3, 3, 3])", "list of 2 integers, got [3,3,3]"},
      {R"("kernel_size": [3, 3.0])", "kernel_size: "},
      {R"("kernel_size": null)", "kernel_size: "},
      {R"("strides": null)", "strides: "},
      {R"("strides": [true, 1])", "strides: "},
      {R"("dilation_rate": null)", "dilation_rate: "},
      {R"("output_padding": [0])", "output_padding: "},
      {R"("padding": null)", R"(padding: expected "valid" or "same", got null)"},
      {R"("padding": 1)", "padding: "},
      {R"("padding": ["same", "same"])", "padding: "},
      {R"("padding": " same")", "padding: "},
      {R"("data_format": "NCHW")", R"(data_format: expected "channels_last" or)"},
      {R"("trainable": 1)", "trainable: expected a boolean, got 1"},
      {R"("trainable": null)", "trainable: "},
      {R"("use_bias": "yes")", "use_bias: "},
      {R"("name": 7)", "name: expected a text, got 7"},
      {R"("dtype": 32)", "dtype: "},
      {R"("dtype": "half")", "dtype: "},
      {R"("dtype": {"class_name": "QuantizedDTypePolicy", "config": {"name": "float32"}})",
       "dtype.class_name: expected DTypePolicy or Policy"},
      {R"("activation": "ReLU")", "activation: expected the name of a function"},
      {R"("activation": "swoosh")", "activation.name: "},
      {R"("activation": "threshold")", "activation.arguments.threshold: "},
      {R"("activation": {"class_name": "PReLU", "config": {}})", "activation.class_name: "},
      {R"("activation": {"class_name": "gelu", "config": {}})", "activation.class_name: "},
      {R"("activation": {"class_name": "function", "config": {}})", "activation.config: "},
      {R"("activation": {"class_name": "Activation", "config": {}})",
       "activation.config.activation: expected an activation, got nothing"},
      {R"("activation": {"class_name": "ELU", "config": {"slope": 1}})",
       "activation.arguments.slope: "},
      {R"("activation": ["relu"])", "activation: "},
      {R"("kernel_initializer": "constant")", "kernel_initializer: expected an object"},
      {R"("kernel_initializer": "xavier")", "kernel_initializer.name: "},
      {R"("kernel_initializer": {"class_name": "Zeros"})",
       "kernel_initializer.config: expected an object, got nothing"},
      {R"("kernel_initializer": {"class_name": "Zeros", "config": {}, "colour": 1})",
       "kernel_initializer.colour: unrecognized argument"},
      {R"("kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 9007199254740993}})",
       "kernel_initializer.config.seed: expected integers of at most 53 bits"},
      {R"("kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 1.5}})",
       "kernel_initializer.arguments.seed: "},
      {R"("kernel_initializer": {"class_name": "Constant", "config": {"value": [[1]]}})",
       "kernel_initializer.config.value: expected a list of numbers"},
      {R"("kernel_regularizer": {"class_name": "L2", "config": {"l2": -0.1}})",
       "kernel_regularizer.arguments.l2: "},
      {R"("bias_regularizer": 0.1)", "bias_regularizer: expected a text, got 0.1"},
      {R"("kernel_constraint": {"class_name": "MaxNorm", "config": {"axis": {}}})",
       "kernel_constraint.config.axis: expected a plain value"},
      {R"("bias_constraint": {"config": {}})", "bias_constraint.class_name: "},
      {R"("groups": 2)", "groups: expected 1, got 2"},
      {R"("groups": 1.0)", "groups: expected 1, got 1.0"},
      {R"("dynamic": true)", "dynamic: expected false"},
      {R"("autocast": false)", "autocast: expected true"},
      {R"("weights": null)", "weights: unrecognized argument"},
      {R"("colour": "red")", "colour: unrecognized argument"},
      {R"("batch_input_shape": [4, 4, 2])", "batch_input_shape: expected a list of 4 extents"},
      {R"("batch_input_shape": [null, -1, 4, 2])", "batch_input_shape: "},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.members);
    const StatusOr<LayerConfig> config = ConfigOf(Layer(c.members));
    EXPECT_THAT(config, StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.error)));
    EXPECT_NE(FieldOf(config.status()), "");
  }
}

TEST(KerasJsonTest, RefusesTextsThatAreNotOneLayer) {
  const struct {
    std::string text;
    std::string error;
  } kCases[] = {
      {"", "expected JSON: "},
      {"{\"filters\": 1,}", "expected JSON: parse error at line 1, column 15"},
      {R"({"filters": 1} x)", "expected JSON: "},
      {std::string("{}\0{}", 5), "expected JSON: the text has a zero byte"},
      {R"({"filters": NaN})", "NaN and Infinity are not JSON"},
      {R"({"filters": -Infinity})", "NaN and Infinity are not JSON"},
      {R"({"filters": 1e999})", "expected JSON: number overflow"},
      {"{\"name\": \"\xff\"}", "ill-formed UTF-8"},
      {R"({"filters": 1, "filters": 2})", R"(duplicate key "filters")"},
      {std::string(100'000, '['), "nested deeper than 64 levels"},
      {std::string(size_t{2} << 20, ' '), "expected at most 1048576 bytes of JSON"},
      {"[]", "expected the JSON object of a layer, got []"},
      {"7", "expected the JSON object of a layer, got 7"},
      {"{}", "kernel_size: expected a list of one to three integers, got nothing"},
      {R"({"filters": 1, "kernel_size": 3})",
       R"({"class_name": "Conv2DTranspose", "config": ...})"},
      {R"({"filters": 1, "kernel_size": [1, 1, 1, 1]})", "kernel_size: "},
      {R"({"kernel_size": [3, 3]})", "filters: expected an integer, got nothing"},
      {R"({"class_name": "Dense", "config": {}})", "class_name: "},
      {R"({"class_name": 7, "config": {}})", "class_name: expected a text"},
      {R"({"class_name": "Conv2DTranspose"})", "config: expected an object, got nothing"},
      {R"({"class_name": "Conv2DTranspose", "config": {"filters": 1}})", "kernel_size: "},
      {R"({"class_name": "Conv2DTranspose", "config": {"filters": 1, "kernel_size": 1}, "x": 1})",
       "x: unrecognized argument"},
      {R"({"class_name": "Conv1DTranspose", "config": {"filters": 1, "kernel_size": 1},
           "build_config": {"input_shape": [1, 4]}})",
       "build_config.input_shape: expected a list of 3 extents"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.text.substr(0, 80));
    EXPECT_THAT(ParseKerasJson(c.text), StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.error)));
  }
}

TEST(KerasJsonTest, KnowsTheClassesAndTheirAliases) {
  for (const std::string rank : {"1", "2", "3"}) {
    for (const std::string stem : {"Conv", "Convolution"}) {
      const Json layer = {{"class_name", stem + rank + "DTranspose"},
                          {"config", {{"filters", 2}, {"kernel_size", 3}}}};
      const StatusOr<KerasLayer> parsed = ParseKerasJson(layer.dump());
      ASSERT_THAT(parsed, IsOk());
      EXPECT_EQ(parsed->config.class_name(), "Conv" + rank + "DTranspose");
      EXPECT_EQ(std::to_string(parsed->config.kernel_size_size()), rank);
    }
  }
}

TEST(KerasJsonTest, ListsTheTransposedConvolutionsOfAModel) {
  const std::string nested = R"({"class_name": "Sequential", "config": {"name": "m", "layers": [
      {"class_name": "InputLayer", "config": {"name": "in"}},
      {"class_name": "Conv2DTranspose", "config": {"name": "up1"}}]}})";
  const std::string model = R"({"class_name": "Functional", "config": {"name": "f", "layers": [)" +
                            nested + R"(, {"class_name": "Conv1DTranspose",
                                           "config": {"name": "up2"}}]}})";
  EXPECT_THAT(ParseKerasJson(model),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(R"(convolutions: "up1", "up2"))")));
  EXPECT_THAT(ParseKerasJson(R"({"class_name": "Sequential", "config": [
                  {"class_name": "Conv3DTranspose", "config": {"name": "old"}}]})"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(R"(convolutions: "old"))")));
}

TEST(KerasJsonTest, FindsTheShapeThatTheLayerWasBuiltFor) {
  const auto build_shape = [](const std::string& text) {
    const StatusOr<KerasLayer> layer = ParseKerasJson(text);
    EXPECT_THAT(layer, IsOk()) << text;
    return layer.ok() ? layer->build_shape : PartialShape{};
  };
  EXPECT_THAT(build_shape(Layer("")), IsEmpty());
  EXPECT_THAT(build_shape(Layer(R"("batch_input_shape": [null, 4, null, 2])")),
              ElementsAre(-1, 4, -1, 2));
  EXPECT_THAT(build_shape(Layer(R"("input_shape": [4, 5, 2])")), ElementsAre(-1, 4, 5, 2));
  EXPECT_THAT(build_shape(R"({"class_name": "Conv1DTranspose", "name": "a", "inbound_nodes": [],
                              "module": "keras.layers", "registered_name": null,
                              "shared_object_id": 3, "build_config": {"input_shape": [1, 4, 2]},
                              "config": {"filters": 1, "kernel_size": 1}})"),
              ElementsAre(1, 4, 2));
}

TEST(KerasJsonTest, WritesTheShapeThatTheLayerWasBuiltFor) {
  const auto build_config = [](const std::string& members) {
    return Json::parse(ToKerasJson(*ConfigOf(Layer(members)), 5).value()).at("build_config");
  };
  EXPECT_EQ(build_config("").dump(), R"({"input_shape":[null,null,null,5]})");
  EXPECT_EQ(build_config(R"("data_format": "channels_first")").dump(),
            R"({"input_shape":[null,5,null,null]})");
}

TEST(KerasJsonTest, WritesTheMembersInTheOrderOfKeras) {
  const auto layer = nlohmann::ordered_json::parse(*ToKerasJson(*ConfigOf(Layer("")), 0));
  std::vector<std::string> keys;
  for (const auto& member : layer.at("config").items()) keys.push_back(member.key());
  EXPECT_THAT(keys, ElementsAre("name", "trainable", "dtype", "filters", "kernel_size", "strides",
                                "padding", "output_padding", "data_format", "dilation_rate",
                                "activation", "use_bias", "kernel_initializer", "bias_initializer",
                                "kernel_regularizer", "bias_regularizer", "activity_regularizer",
                                "kernel_constraint", "bias_constraint"));
}

TEST(KerasJsonTest, WritesAxesAndSeedsAsIntegers) {
  const Json config = Printed(Layer(R"(
      "activation": {"class_name": "Softmax", "config": {"axis": 1}},
      "kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 7}},
      "kernel_constraint": {"class_name": "UnitNorm", "config": {"axis": [0, 1]}})"))
                          .at("config");
  EXPECT_EQ(config.at("activation").at("config").at("axis").dump(), "1");
  EXPECT_EQ(config.at("kernel_initializer").at("config").at("seed").dump(), "7");
  EXPECT_EQ(config.at("kernel_constraint").at("config").at("axis").dump(), "[0,1]");
}

TEST(KerasJsonTest, WritesNothingForActivationsThatKerasHasNoFormFor) {
  LayerConfig config = *ConfigOf(Layer(""));
  config.activation = *Activation::Make({"gelu", {{"approximate", true}}});
  EXPECT_EQ(ToKerasJson(config, 0), std::nullopt);
  config.activation = *Activation::Make({"relu", {{"negative_slope", -1.0}}});
  EXPECT_EQ(ToKerasJson(config, 0), std::nullopt) << "the layer ReLU takes no negative slope";
  config.activation = *Activation::Make({"relu", {{"max_value", 6.0}}});
  EXPECT_NE(ToKerasJson(config, 0), std::nullopt);
}

}  // namespace
}  // namespace tconv::server
