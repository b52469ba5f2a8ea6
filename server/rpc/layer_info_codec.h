// What LayerHost takes and tells, from and to the messages of the service.
#pragma once

#include <tconv/v1/layer.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include "server/base/status.h"
#include "server/host/layer_host.h"

namespace tconv::server {

// An error about the text of `keras_json`, which names no field, or about a key in it.
Status InKerasJson(const Status& status);

// Either form of definition; weights are left out. INVALID_ARGUMENT with the path
// of the field.
StatusOr<LayerDraft> LayerDraftFromProto(const v1::CreateRequest& request);

// INVALID_ARGUMENT about `min_version`.
Status CheckMinVersion(int64_t min_version);

v1::Layer ToProto(const LayerInfo& layer);
v1::Loss ToProto(const Loss& loss);

}  // namespace tconv::server
