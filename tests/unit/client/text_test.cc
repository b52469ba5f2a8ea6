// What the tool prints, for people and for scripts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/cli/json.h"
#include "client/cli/layer_text.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"

namespace tconv::cli {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(TableTest, AlignsColumnsByCodePoints) {
  EXPECT_EQ(FormatTable({{"a", "b", "c"}, {"größer", "1"}}), "a       b  c\ngrößer  1\n");
}

TEST(TableTest, FormatsBytesInTheLargestUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{5} << 40), "5.0 TiB");
}

TEST(ProgressTest, ShowsABarWhenTheTotalIsKnown) {
  EXPECT_EQ(FormatProgress("reading x", ProgressUnit::kBytes, 1 << 20, 4 << 20, milliseconds(0)),
            "reading x  [#####...............]  25%  1.0 MiB of 4.0 MiB");
}

TEST(ProgressTest, ShowsTheTimeBesideABarOfParts) {
  EXPECT_EQ(FormatProgress("measuring", ProgressUnit::kParts, 250, 1000, milliseconds(1250)),
            "measuring  [#####...............]  25%  1.2 s");
}

TEST(ProgressTest, ShowsTheTimeWhenItIsNot) {
  EXPECT_EQ(FormatProgress("waiting", ProgressUnit::kBytes, 0, 0, milliseconds(3210)),
            "waiting  3.2 s");
}

TEST(ProgressTest, ShowsANoteAtTheEnd) {
  EXPECT_EQ(
      FormatProgress("learning", ProgressUnit::kParts, 500, 1000, milliseconds(1250), "loss 0.5"),
      "learning  [##########..........]  50%  1.2 s  loss 0.5");
}

TEST(ProgressTest, StaysSilentDuringShortSteps) {
  std::ostringstream terminal;
  { Progress progress(&terminal, "reading x"); }
  EXPECT_EQ(terminal.str(), "");
}

v1::Layer MakeLayer() {
  v1::Layer layer;
  layer.set_name("up1");
  layer.mutable_config()->set_filters(3);
  layer.mutable_config()->add_kernel_size(4);
  layer.mutable_config()->set_padding(v1::PADDING_SAME);
  layer.mutable_config()->mutable_activation()->set_name("relu");
  auto& arguments = *layer.mutable_config()->mutable_activation()->mutable_arguments();
  (*arguments.mutable_fields())["max_value"].set_number_value(6);
  (*arguments.mutable_fields())["axis"].set_null_value({});
  layer.set_keras_json(R"({"class_name": "Conv1DTranspose"})");
  layer.set_weights_version(2);
  auto* verdict = layer.add_plans()->add_verdicts();
  verdict->set_strategy("reference");
  verdict->set_chosen(true);
  return layer;
}

TEST(JsonTest, HasEveryFieldOfALayerUnderItsName) {
  const Json json = LayerToJson(MakeLayer());
  EXPECT_EQ(json["name"], "up1");
  EXPECT_EQ(json["weights_version"], 2);
  EXPECT_EQ(json["input_channels"], 0);
  EXPECT_EQ(json["config"]["kernel_size"], Json({4}));
  EXPECT_EQ(json["config"]["padding"], "PADDING_SAME");
  EXPECT_EQ(json["config"]["use_bias"], nullptr);
  EXPECT_EQ(json["config"]["bias_constraint"], nullptr);
  EXPECT_EQ(json["config"]["activation"]["arguments"],
            Json({{"axis", nullptr}, {"max_value", 6.0}}));
  EXPECT_EQ(json["plans"][0]["verdicts"][0]["chosen"], true);
  EXPECT_EQ(json["keras_json"]["class_name"], "Conv1DTranspose");
}

TEST(JsonTest, HasNullForALayerWithoutKerasForm) {
  EXPECT_EQ(LayerToJson(v1::Layer())["keras_json"], nullptr);
}

TEST(LayerTextTest, TellsPropertiesInKerasWords) {
  const std::string text = FormatLayer(MakeLayer());
  EXPECT_THAT(text, HasSubstr("padding               same\n"));
  EXPECT_THAT(text, HasSubstr("kernel size           (4,)\n"));
  EXPECT_THAT(text, HasSubstr("activation            relu max_value=6.0\n"));
  EXPECT_THAT(text, HasSubstr("*  reference"));
}

TEST(LayerTextTest, TellsThatALayerIsNotBuilt) {
  EXPECT_THAT(FormatLayer(v1::Layer()), HasSubstr("weights version       not built\n"));
}

}  // namespace
}  // namespace tconv::cli
