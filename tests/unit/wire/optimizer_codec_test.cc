#include "server/wire/optimizer_codec.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::StatusIs;

Optimizer Make(const ObjectSpec& spec) { return Optimizer::Make(spec).value(); }

std::string Text(const std::string& class_name, const Json& config) {
  return Json{{"class_name", class_name}, {"config", config}}.dump();
}

TEST(OptimizerCodecTest, SendsEveryArgument) {
  const Optimizer optimizer = Make({"adam", {{"learning_rate", 0.5}, {"clipnorm", 2.0}}});
  const v1::KerasObject proto = ToProto(optimizer);
  EXPECT_EQ(proto.name(), "Adam");
  EXPECT_EQ(proto.arguments().fields_size(), 9);
  EXPECT_EQ(OptimizerFromProto(proto).value(), optimizer);
}

TEST(OptimizerCodecTest, RefusesWrongMessages) {
  v1::KerasObject proto;
  proto.set_name("SGD");
  (*proto.mutable_arguments()->mutable_fields())["learning_rate"].mutable_struct_value();
  EXPECT_THAT(OptimizerFromProto(proto),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("arguments.learning_rate: ")));
  proto.set_name("MeanSquaredError");
  EXPECT_THAT(DataLossFromProto(proto),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("arguments.learning_rate: ")));
}

TEST(OptimizerCodecTest, ReadsLosses) {
  v1::KerasObject proto;
  proto.set_name("binary_crossentropy");
  (*proto.mutable_arguments()->mutable_fields())["from_logits"].set_bool_value(true);
  EXPECT_EQ(DataLossFromProto(proto).value().spec().name, "BinaryCrossentropy");
}

TEST(OptimizerCodecTest, WritesTheOptimizersOfKerasAsKerasDoes) {
  int optimizers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TCONV_GOLDEN_CASES)) {
    const std::filesystem::path path = entry.path() / "optimizer.json";
    if (!std::filesystem::exists(path)) continue;
    SCOPED_TRACE(path);
    ++optimizers;
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    const StatusOr<Optimizer> optimizer = OptimizerFromKerasJson(text.str());
    ASSERT_THAT(optimizer, IsOk());

    const Json written = Json::parse(ToKerasJson(*optimizer));
    const Json recorded = Json::parse(text.str());
    EXPECT_EQ(written.at("module"), "keras.optimizers");
    EXPECT_EQ(written.at("class_name"), recorded.at("class_name"));
    // Keras takes its defaults for the others, which have no other value here.
    for (const auto& [key, value] : written.at("config").items()) {
      EXPECT_EQ(value, recorded.at("config").at(key)) << key;
    }
    EXPECT_EQ(OptimizerFromKerasJson(written.dump()).value(), *optimizer);
  }
  EXPECT_EQ(optimizers, 10);
}

TEST(OptimizerCodecTest, RefusesWrongJsonByTheKey) {
  const std::pair<std::string, const char*> kCases[] = {
      {"{", "expected JSON: "},
      {"[]", "expected the JSON object of an optimizer, got []"},
      {"\"adam\"", "expected the JSON object of an optimizer, got \"adam\""},
      {"{}", "class_name: expected a text, got nothing"},
      {R"({"class_name": "SGD"})", "config: expected an object, got nothing"},
      {Text("Lion", Json::object()), "name: expected an optimizer (SGD, Adam, AdamW, RMSprop)"},
      {Text("SGD", {{"learning_rate", {{"class_name", "ExponentialDecay"}}}}),
       "config.learning_rate: expected a number: schedules are not supported, got {"},
      {Text("SGD", {{"clipnorm", {{"a", 1}}}}), "config.clipnorm: expected a plain value"},
      {Text("SGD", {{"jit", 1}}), "arguments.jit: SGD has no such argument"},
      {Text("SGD", {{"use_ema", true}}), "arguments.use_ema: expected false"},
      {Text("SGD", {{"loss_scale_factor", 8.0}}), "arguments.loss_scale_factor: expected null"},
      {R"({"class_name": "SGD", "config": {}, "optimizer": 1})",
       "optimizer: unrecognized argument"},
      {std::string(size_t{2} << 20, ' '), "expected at most 1048576 bytes of JSON"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_THAT(OptimizerFromKerasJson(text),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

WeightTensors MakeTensors(float first, bool has_bias) {
  const auto fill = [&](const Shape& shape, float value) {
    Tensor tensor = Tensor::Allocate(DType::kFloat32, shape).value();
    for (float& element : tensor.mutable_view().values<float>()) element = value++;
    return tensor;
  };
  WeightTensors tensors{fill({1, 2, 3}, first), std::nullopt};
  if (has_bias) tensors.bias = fill({2}, -first);
  return tensors;
}

OptimizerSlots MakeSlots(bool has_bias) {
  OptimizerSlots slots;
  slots[OptimizerSlot::kMomentum] = MakeTensors(10, has_bias);
  slots[OptimizerSlot::kVelocity] = MakeTensors(20, has_bias);
  slots[OptimizerSlot::kVelocityHat] = MakeTensors(30, has_bias);
  slots[OptimizerSlot::kAverageGradient] = MakeTensors(40, has_bias);
  return slots;
}

// `slots` as they arrive.
StatusOr<OptimizerSlots> SentAndReceived(OptimizerSlots slots) {
  const auto owner = std::make_shared<const OptimizerSlots>(std::move(slots));
  v1::GetOptimizerResponse sent;
  ToProto(*owner, sent.mutable_slots());
  auto encoded = codec::Encode(sent, PayloadsOf(*owner, owner));
  if (!encoded.ok()) return encoded.status();
  v1::GetOptimizerResponse received;
  auto payloads = codec::ReceivedPayloads::Parse(&*encoded, &received);
  if (!payloads.ok()) return payloads.status();
  return OptimizerSlotsFromProto(received.slots(), v1::GetOptimizerResponse::kSlotsFieldNumber,
                                 *payloads);
}

TEST(OptimizerCodecTest, SendsSlotsWithTheirElements) {
  for (const bool has_bias : {false, true}) {
    StatusOr<OptimizerSlots> slots = SentAndReceived(MakeSlots(has_bias));
    ASSERT_THAT(slots, IsOk());
    ASSERT_EQ(slots->size(), 4U);
    float first = 10;
    for (const auto& [kind, tensors] : *slots) {
      EXPECT_EQ(tensors.kernel.shape(), Shape({1, 2, 3}));
      EXPECT_THAT(tensors.kernel.view().values<float>(),
                  ElementsAre(first, first + 1, first + 2, first + 3, first + 4, first + 5));
      EXPECT_EQ(tensors.bias.has_value(), has_bias);
      if (has_bias) {
        EXPECT_THAT(tensors.bias->view().values<float>(), ElementsAre(-first, 1 - first));
      }
      first += 10;
    }
  }
}

TEST(OptimizerCodecTest, LeavesOutSlotsThatAreNotThere) {
  OptimizerSlots slots;
  slots[OptimizerSlot::kVelocity] = MakeTensors(1, false);
  StatusOr<OptimizerSlots> received = SentAndReceived(std::move(slots));
  ASSERT_THAT(received, IsOk());
  ASSERT_EQ(received->size(), 1U);
  EXPECT_EQ(received->begin()->first, OptimizerSlot::kVelocity);
  EXPECT_THAT(SentAndReceived({}).value(), IsEmpty());
}

TEST(OptimizerCodecTest, NamesTheSlotThatIsWrong) {
  codec::ReceivedPayloads payloads;
  v1::OptimizerSlots slots;
  slots.mutable_velocity();
  EXPECT_THAT(OptimizerSlotsFromProto(slots, 5, payloads),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("velocity.kernel: expected")));
  slots.mutable_velocity()->mutable_kernel()->set_dtype(v1::DATA_TYPE_FLOAT32);
  slots.mutable_velocity()->mutable_kernel()->add_shape(3);
  EXPECT_THAT(
      OptimizerSlotsFromProto(slots, 5, payloads),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("velocity.kernel.data: expected 12 bytes")));
}

}  // namespace
}  // namespace tconv::server
