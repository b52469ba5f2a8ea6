// What training sends and receives besides tensors that layers know anyway: optimizers
// with their state, and losses.
#pragma once

#include <tconv/v1/training.pb.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/codec/payload_codec.h"
#include "server/base/status.h"
#include "server/layer/data_loss.h"
#include "server/layer/optimizer.h"

namespace tconv::server {

// INVALID_ARGUMENT about `name` or `arguments.<key>`.
StatusOr<Optimizer> OptimizerFromProto(const v1::KerasObject& proto);
StatusOr<DataLoss> DataLossFromProto(const v1::KerasObject& proto);

// Every argument is present.
v1::KerasObject ToProto(const Optimizer& optimizer);

// `text` is keras.optimizers.serialize(optimizer). Bounded in size and depth.
// INVALID_ARGUMENT with the path of the key, or of OptimizerFromProto(); without a
// field when the text is not JSON.
StatusOr<Optimizer> OptimizerFromKerasJson(std::string_view text);
std::string ToKerasJson(const Optimizer& optimizer);

// The slots that lie in the field `number` of a received message, in the types in which
// they came. INVALID_ARGUMENT about `<kind>.kernel` or `<kind>.bias`;
// RESOURCE_EXHAUSTED without memory.
StatusOr<OptimizerSlots> OptimizerSlotsFromProto(const v1::OptimizerSlots& proto, int number,
                                                 codec::ReceivedPayloads& payloads);

// Everything but the elements.
void ToProto(const OptimizerSlots& slots, v1::OptimizerSlots* out);

// Their elements, kept alive by `owner`, in GetOptimizerResponse.slots.
std::vector<codec::PlacedPayload> PayloadsOf(const OptimizerSlots& slots,
                                             const std::shared_ptr<const void>& owner);

}  // namespace tconv::server
