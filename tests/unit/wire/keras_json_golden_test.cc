// The JSON that Keras itself wrote, read and written again.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using Json = nlohmann::json;
using testing::IsOk;
using testing::StatusIs;

// The directories of the golden cases that have `file`.
std::vector<std::filesystem::path> CasesWith(const std::string& file) {
  std::vector<std::filesystem::path> cases;
  for (const auto& entry : std::filesystem::directory_iterator(TCONV_GOLDEN_CASES)) {
    if (std::filesystem::exists(entry.path() / file)) cases.push_back(entry.path());
  }
  return cases;
}

Json ReadJson(const std::filesystem::path& path) { return Json::parse(std::ifstream(path)); }

// The config.json of a case, with its class.
std::string SerializedConfig(const std::filesystem::path& directory) {
  const Json layer = {{"class_name", ReadJson(directory / "expect.json").at("class_name")},
                      {"config", ReadJson(directory / "config.json")}};
  return layer.dump();
}

StatusOr<LayerConfig> ConfigOf(const std::string& keras_json) {
  TCONV_ASSIGN_OR_RETURN(const KerasLayer layer, ParseKerasJson(keras_json));
  return LayerConfigFromProto(layer.config);
}

// `keras_json` as it comes out again.
Json Rewritten(const std::string& keras_json) {
  const StatusOr<KerasLayer> layer = ParseKerasJson(keras_json);
  EXPECT_THAT(layer, IsOk());
  const StatusOr<LayerConfig> config = ConfigOf(keras_json);
  EXPECT_THAT(config, IsOk());
  if (!config.ok()) return nullptr;
  const int64_t in_channels = layer->build_shape.empty()
                                  ? 0
                                  : layer->build_shape[static_cast<size_t>(config->channel_axis())];
  const std::optional<std::string> text = ToKerasJson(*config, in_channels);
  EXPECT_TRUE(text.has_value());
  return text.has_value() ? Json::parse(*text) : Json();
}

// Keras numbers the layers that it makes of activations, and keeps the spatial
// extents that a layer was built with; neither belongs to the layer.
Json WithoutAccidents(Json layer) {
  Json& activation = layer.at("config").at("activation");
  if (activation.is_object()) activation.at("config").erase("name");
  if (Json& build = layer["build_config"]; build.is_object()) {
    Json& shape = build.at("input_shape");
    const bool channels_last = layer.at("config").at("data_format") == "channels_last";
    shape = channels_last ? shape.back() : shape.at(1);
  }
  return layer;
}

TEST(KerasJsonGoldenTest, WritesEveryLayerOfKeras3AsKeras3Does) {
  const auto cases = CasesWith("layer.json");
  EXPECT_GT(cases.size(), 140U);
  for (const auto& directory : cases) {
    SCOPED_TRACE(directory.filename());
    const Json layer = ReadJson(directory / "layer.json");
    EXPECT_EQ(WithoutAccidents(Rewritten(layer.dump())), WithoutAccidents(layer));
  }
}

TEST(KerasJsonGoldenTest, ReadsABareConfigLikeTheSerializedLayer) {
  for (const auto& directory : CasesWith("layer.json")) {
    SCOPED_TRACE(directory.filename());
    EXPECT_EQ(Rewritten(ReadJson(directory / "config.json").dump()),
              Rewritten(SerializedConfig(directory)));
  }
}

// Keras keeps the null of an initializer, and takes it for glorot_uniform.
TEST(KerasJsonGoldenTest, WritesEveryInitializerAsKeras3Does) {
  const Json kGlorotUniform = Json::parse(
      R"({"module": "keras.initializers", "class_name": "GlorotUniform", "registered_name": null,
          "config": {"seed": null, "input_axes": null, "output_axes": null}})");
  int cases = 0;
  for (const auto& directory : CasesWith("config.json")) {
    if (ReadJson(directory / "expect.json").at("kind") != "init") continue;
    SCOPED_TRACE(directory.filename());
    Json config = ReadJson(directory / "config.json");
    for (const char* key : {"kernel_initializer", "bias_initializer"}) {
      if (config.at(key).is_null()) config[key] = kGlorotUniform;
    }
    EXPECT_EQ(Rewritten(SerializedConfig(directory)).at("config"), config);
    ++cases;
  }
  EXPECT_GT(cases, 10);
}

TEST(KerasJsonGoldenTest, WritesEveryLayerOfKeras2AsKeras3Does) {
  const auto cases = CasesWith("config_keras3.json");
  EXPECT_EQ(cases.size(), 7U);
  for (const auto& directory : cases) {
    SCOPED_TRACE(directory.filename());
    EXPECT_EQ(Rewritten(SerializedConfig(directory)).at("config"),
              ReadJson(directory / "config_keras3.json"));
  }
}

TEST(KerasJsonGoldenTest, RefusesWhatTheConstructorOfKerasRefuses) {
  int refused = 0;
  for (const auto& directory : CasesWith("expect.json")) {
    const Json expect = ReadJson(directory / "expect.json");
    if (expect.at("kind") != "error") continue;
    SCOPED_TRACE(directory.filename());
    const StatusOr<LayerConfig> config = ConfigOf(SerializedConfig(directory));
    const bool refused_by_constructor = expect.at("keras3").at("stage") == "construct";
    if (expect.at("service") == "accept") {
      EXPECT_THAT(config, IsOk());
    } else if (expect.at("service") == "reject" && refused_by_constructor) {
      EXPECT_THAT(config, StatusIs(StatusCode::kInvalidArgument));
      EXPECT_NE(FieldOf(config.status()), "") << config.status();
      ++refused;
    }
  }
  EXPECT_GT(refused, 20);
}

}  // namespace
}  // namespace tconv::server
