#include "server/wire/optimizer_codec.h"

#include <array>
#include <optional>
#include <utility>

#include "server/tensor/tensor_source.h"
#include "server/wire/keras_object_reader.h"
#include "server/wire/keras_object_writer.h"
#include "server/wire/object_codec.h"
#include "server/wire/strict_json.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

// The numbers of the fields that lead to elements of slots in an answer.
using PayloadPath = std::array<int, 4>;

constexpr PayloadPath PathOf(int kind, int weight) {
  return {v1::GetOptimizerResponse::kSlotsFieldNumber, kind, weight, v1::Tensor::kDataFieldNumber};
}

// A kind of slot, and its field.
struct SlotField {
  using Proto = v1::OptimizerSlots;

  OptimizerSlot kind;
  int number;
  bool (Proto::*has)() const;
  const v1::Weights& (Proto::*get)() const;
  v1::Weights* (Proto::*mutable_get)();
  PayloadPath kernel_path = PathOf(number, v1::Weights::kKernelFieldNumber);
  PayloadPath bias_path = PathOf(number, v1::Weights::kBiasFieldNumber);
};

constexpr SlotField kSlotFields[] = {
    {OptimizerSlot::kMomentum, v1::OptimizerSlots::kMomentumFieldNumber,
     &v1::OptimizerSlots::has_momentum, &v1::OptimizerSlots::momentum,
     &v1::OptimizerSlots::mutable_momentum},
    {OptimizerSlot::kVelocity, v1::OptimizerSlots::kVelocityFieldNumber,
     &v1::OptimizerSlots::has_velocity, &v1::OptimizerSlots::velocity,
     &v1::OptimizerSlots::mutable_velocity},
    {OptimizerSlot::kVelocityHat, v1::OptimizerSlots::kVelocityHatFieldNumber,
     &v1::OptimizerSlots::has_velocity_hat, &v1::OptimizerSlots::velocity_hat,
     &v1::OptimizerSlots::mutable_velocity_hat},
    {OptimizerSlot::kAverageGradient, v1::OptimizerSlots::kAverageGradientFieldNumber,
     &v1::OptimizerSlots::has_average_gradient, &v1::OptimizerSlots::average_gradient,
     &v1::OptimizerSlots::mutable_average_gradient},
};

StatusOr<Tensor> FetchAsItIs(TensorSource& source) { return Fetch(source, source.dtype()); }

StatusOr<WeightTensors> FetchTensors(const WeightsSource& source) {
  WeightTensors tensors;
  TCONV_ASSIGN_OR_RETURN(tensors.kernel, FetchAsItIs(*source.kernel));
  if (source.bias != nullptr) {
    TCONV_ASSIGN_OR_RETURN(tensors.bias, FetchAsItIs(*source.bias));
  }
  return tensors;
}

// T is Optimizer or DataLoss.
template <typename T>
StatusOr<T> MakeFrom(const v1::KerasObject& proto) {
  TCONV_ASSIGN_OR_RETURN(const ObjectSpec spec, ObjectSpecFromProto(proto));
  return T::Make(spec);
}

}  // namespace

StatusOr<Optimizer> OptimizerFromProto(const v1::KerasObject& proto) {
  return MakeFrom<Optimizer>(proto);
}

StatusOr<DataLoss> DataLossFromProto(const v1::KerasObject& proto) {
  return MakeFrom<DataLoss>(proto);
}

v1::KerasObject ToProto(const Optimizer& optimizer) {
  v1::KerasObject out;
  ToProto(optimizer.spec(), &out);
  return out;
}

StatusOr<Optimizer> OptimizerFromKerasJson(std::string_view text) {
  TCONV_ASSIGN_OR_RETURN(const nlohmann::json json, ParseStrictJson(text));
  if (!json.is_object()) {
    return MakeError(StatusCode::kInvalidArgument,
                     "expected the JSON object of an optimizer, got {}", Excerpt(json));
  }
  v1::KerasObject object;
  TCONV_RETURN_IF_ERROR(ReadOptimizer({"", &json}, &object));
  return OptimizerFromProto(object);
}

std::string ToKerasJson(const Optimizer& optimizer) {
  return ToText(ObjectToJson("keras.optimizers", optimizer.spec()));
}

StatusOr<OptimizerSlots> OptimizerSlotsFromProto(const v1::OptimizerSlots& proto, int number,
                                                 codec::ReceivedPayloads& payloads) {
  OptimizerSlots slots;
  for (const SlotField& field : kSlotFields) {
    if (!(proto.*field.has)()) continue;
    const int path[] = {number, field.number};
    StatusOr<ReceivedWeights> received =
        ReceivedWeights::Make((proto.*field.get)(), path, payloads);
    if (!received.ok()) return InField(NameOf(field.kind), received.status());
    TCONV_ASSIGN_OR_RETURN(slots[field.kind], FetchTensors(received->source()));
  }
  return slots;
}

void ToProto(const OptimizerSlots& slots, v1::OptimizerSlots* out) {
  for (const SlotField& field : kSlotFields) {
    const auto slot = slots.find(field.kind);
    if (slot != slots.end()) ToProto(slot->second, (out->*field.mutable_get)());
  }
}

std::vector<codec::PlacedPayload> PayloadsOf(const OptimizerSlots& slots,
                                             const std::shared_ptr<const void>& owner) {
  std::vector<codec::PlacedPayload> payloads;
  for (const SlotField& field : kSlotFields) {
    const auto slot = slots.find(field.kind);
    if (slot == slots.end()) continue;
    const WeightTensors& tensors = slot->second;
    payloads.push_back({field.kernel_path, PayloadOf(tensors.kernel.view(), owner)});
    if (!tensors.bias.has_value()) continue;
    payloads.push_back({field.bias_path, PayloadOf(tensors.bias->view(), owner)});
  }
  return payloads;
}

}  // namespace tconv::server
