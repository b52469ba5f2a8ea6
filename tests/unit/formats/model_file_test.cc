#include "formats/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/model_arrays.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::formats {
namespace {

using tconv::testing::FloatsOf;
using tconv::testing::IsOk;
using tconv::testing::ReadArray;
using tconv::testing::ReadFile;
using tconv::testing::SameArray;
using tconv::testing::StatusIs;
using tconv::testing::TempFolder;
using tconv::testing::WriteFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Golden(const std::string& name) { return std::string(TCONV_GOLDEN_FILES "/") + name; }
std::string Made(const std::string& name) { return std::string(TCONV_MODELS "/") + name; }

std::vector<std::string> NamesOf(const Model& model) {
  std::vector<std::string> names;
  for (const Layer& layer : model.layers) names.push_back(layer.name);
  return names;
}

std::map<std::string, float> FirstElements(const Model& model) {
  std::map<std::string, float> first;
  for (const Layer& layer : model.layers) first[layer.name] = FloatsOf(layer.kernel)[0];
  return first;
}

// The reader's INVALID_ARGUMENT.
#define EXPECT_REFUSED(model, message) \
  EXPECT_THAT(model, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))

class WrittenByKerasTest : public ::testing::TestWithParam<std::string> {
 protected:
  // Weights-only files take the configuration out of the archive.
  static ReadOptions Options() {
    const bool is_whole = GetParam().ends_with(".keras") || GetParam().ends_with("legacy_model.h5");
    if (is_whole) return {};
    return {.config_path =
                Golden(GetParam().substr(0, GetParam().find('/')) + "/config_in_archive.json")};
  }
};

TEST_P(WrittenByKerasTest, HasTheWeightsThatGetWeightsReturned) {
  const auto model = ReadModelFile(Golden(GetParam()), Options());
  ASSERT_THAT(model, IsOk());
  ASSERT_EQ(model->layers.size(), 2u);
  const std::string folder = GetParam().substr(0, GetParam().find('/') + 1);
  for (const Layer& layer : model->layers) {
    EXPECT_TRUE(SameArray(layer.kernel, ReadArray(Golden(folder + layer.name + "__kernel.npy"))));
    ASSERT_EQ(layer.bias.has_value(), layer.name != "up3d");
    if (!layer.bias) continue;
    EXPECT_TRUE(SameArray(*layer.bias, ReadArray(Golden(folder + layer.name + "__bias.npy"))));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, WrittenByKerasTest,
    ::testing::Values("sequential-compiled/model.keras", "sequential-compiled/model.weights.h5",
                      "sequential-compiled/legacy_model.h5", "sequential-compiled/weights.npz",
                      "sequential-compiled/weights.safetensors", "two-heads/model.keras",
                      "two-heads/model.weights.h5", "two-heads/legacy_model.h5",
                      "two-heads/weights.npz", "two-heads/weights.safetensors"),
    [](const auto& test) {
      std::string name = test.param;
      for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
      return name;
    });

TEST(ModelFileTest, FindsWeightsByTheCountersOfClassesOnEachLevel) {
  const auto model = ReadModelFile(Made("nested.weights.h5"));
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->name, "whole");
  const std::map<std::string, float> expected = {
      {"decoder.up", 100}, {"last", 200}, {"extra.up", 300}, {"out", 400}};
  EXPECT_EQ(FirstElements(*model), expected);
  EXPECT_THAT(model->passed_over,
              ElementsAre("image (InputLayer)", "decoder (Sequential)", "in (InputLayer)",
                          "norm (BatchNormalization)", "dense (Dense)", "extra (Sequential)"));
}

TEST(ModelFileTest, FindsWeightsOfKeras2ByTheirNames) {
  for (const char* file : {"keras2.h5", "keras2_weights.h5"}) {
    const auto model = ReadModelFile(Made(file));
    ASSERT_THAT(model, IsOk());
    const std::map<std::string, float> expected = {{"up1", 100}, {"frozen", 200}, {"out", 300}};
    EXPECT_EQ(FirstElements(*model), expected);
    EXPECT_THAT(FloatsOf(*model->layers[1].bias), ElementsAre(2, 3));
  }
}

TEST(ModelFileTest, ReadsEveryElementTypeAndFormOfStorage) {
  const auto model = ReadModelFile(Made("types.weights.h5"));
  ASSERT_THAT(model, IsOk());
  std::map<std::string, Array> kernels;
  for (const Layer& layer : model->layers) kernels[layer.name] = layer.kernel;
  EXPECT_EQ(FloatsOf(kernels["big"])[23], 24);
  EXPECT_TRUE(SameArray(kernels["packed"], kernels["big"]));
  EXPECT_EQ(kernels["double"].dtype, DType::kFloat64);
  EXPECT_EQ(kernels["half"].dtype, DType::kFloat16);
  EXPECT_TRUE(SameArray(kernels["big_half"], kernels["half"]));
  const auto* half = reinterpret_cast<const uint16_t*>(kernels["half"].bytes.data());
  EXPECT_EQ(half[0], 0x3c00) << "1";
  EXPECT_EQ(kernels["bfloat"].dtype, DType::kBFloat16);
  const auto* upper = reinterpret_cast<const uint16_t*>(kernels["bfloat"].bytes.data());
  EXPECT_EQ(upper[1], std::bit_cast<uint32_t>(2.0f) >> 16);
}

TEST(ModelFileTest, TurnsKernelsOfPyTorchIntoTheLayoutOfKeras) {
  const auto model = ReadModelFile(Made("pytorch.npz"), {.from_pytorch = true});
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(NamesOf(*model), ElementsAre("0", "2"));
  std::vector<float> counting(24);
  for (size_t i = 0; i < counting.size(); ++i) counting[i] = 100 + static_cast<float>(i);
  EXPECT_EQ(model->layers[0].kernel.shape, Shape({2, 2, 2, 3}));
  EXPECT_EQ(FloatsOf(model->layers[0].kernel), counting);
  EXPECT_EQ(FloatsOf(model->layers[1].kernel)[23], 223);
}

TEST(ModelFileTest, TakesArraysWithoutNamesForASingleLayer) {
  const auto model = ReadModelFile(Made("single.npz"));
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->layers[0].class_name, "Conv2DTranspose");
  EXPECT_EQ(FloatsOf(model->layers[0].kernel)[0], 100);
  EXPECT_THAT(FloatsOf(*model->layers[0].bias), ElementsAre(1, 2));
}

TEST(ModelFileTest, SaysWhatIsMissing) {
  const TempFolder folder;
  EXPECT_REFUSED(ReadModelFile(folder / "model.onnx"), "expected a .keras");
  EXPECT_REFUSED(ReadModelFile(folder / "none.keras"), "No such file");
  EXPECT_REFUSED(ReadModelFile("/proc/self/fd/../../../dev/x.h5"), "No such file");
  std::filesystem::create_directory(folder / "folder.h5");
  EXPECT_REFUSED(ReadModelFile(folder / "folder.h5"), "expected a file");
  std::filesystem::copy(Made("single.npz"), folder / "alone.npz");
  EXPECT_REFUSED(ReadModelFile(folder / "alone.npz"), "alone.json: No such file");
  EXPECT_REFUSED(ReadModelFile(Made("pytorch.npz")), "0: expected \"0/kernel\" in the file");
  EXPECT_REFUSED(ReadModelFile(Made("keras2.h5"), {.config_path = Made("single.json")}),
                 "configuration of its own");
  EXPECT_REFUSED(ReadModelFile(Made("keras2.h5"), {.from_pytorch = true}), "PyTorch");
}

TEST(ModelFileTest, SaysWhichLayerDoesNotFitItsWeights) {
  struct Case {
    std::string file;
    std::string config;
    std::string message;
  };
  const std::string layer = R"({"class_name": "Conv2DTranspose", "config": )";
  const Case kCases[] = {
      {"single.npz", R"({"name": "a", "filters": 3, "kernel_size": [2, 2]})",
       "a: arr_0: expected the shape (2, 2, 3, any), got (2, 2, 2, 3)"},
      {"single.npz", R"({"name": "a", "filters": 2, "kernel_size": [2]})",
       "expected the shape (2, 2, any), got"},
      {"single.npz", R"({"name": "a", "filters": 2, "kernel_size": [2, 2], "use_bias": false})",
       "a: expected a kernel without a bias, got 2 arrays"},
      {"single.npz", layer + R"({"name": "a", "filters": 2, "kernel_size": 2.5}})", "kernel_size"},
      {"single.npz", layer + R"({"name": "a", "filters": -1, "kernel_size": 2}})", "filters"},
      {"single.npz", layer + R"({"name": "a", "filters": 2}})", "kernel_size"},
      {"single.npz", layer + R"([]})", "kernel_size"},
      {"single.npz", R"({"class_name": "Dense", "config": {}})", "got dense (Dense)"},
      {"single.npz", R"([])", "expected a Conv1DTranspose"},
      {"single.npz", R"([1])", "expected a layer, got 1"},
      {"single.npz", R"("text")", "expected a layer"},
      {"single.npz", R"({"a": 1, "a": 2})", "duplicate key"},
      {"pytorch.npz",
       R"([{"class_name": "Conv2DTranspose",
            "config": {"name": "x", "filters": 1, "kernel_size": 1}},
           {"class_name": "Conv2DTranspose",
            "config": {"name": "x", "filters": 1, "kernel_size": 1}}])",
       "got \"x\" twice"},
      {"nested.weights.h5", layer + R"({"name": "a", "filters": 2, "kernel_size": 3}})",
       "a: layers/conv2d_transpose/vars/0: expected the shape (3, 3, 2, any)"},
      {"nested.weights.h5",
       R"({"class_name": "Conv1DTranspose",
           "config": {"name": "a", "filters": 2, "kernel_size": 3}})",
       "a: expected \"layers/conv1d_transpose/vars/0\" in the file"},
      {"keras2_weights.h5", layer + R"({"name": "a", "filters": 2, "kernel_size": 3}})",
       "expected a group \"a\""},
  };
  const TempFolder folder;
  for (const Case& c : kCases) {
    WriteFile(folder / "config.json", c.config);
    const auto model = ReadModelFile(Made(c.file), {.config_path = folder / "config.json"});
    EXPECT_REFUSED(model, c.message) << c.config;
  }
}

TEST(ModelFileTest, KeepsTheConfigurationOfALayerAsItStands) {
  const auto model = ReadModelFile(Golden("two-heads/model.keras"));
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT(model->layers[0].keras_json,
              AllOf(HasSubstr("\"class_name\":\"Conv2DTranspose\""),
                    HasSubstr("\"activation\":\"relu\""), HasSubstr("build_config")));
}

}  // namespace
}  // namespace tconv::formats
