// v1::KerasObject and ObjectSpec, both ways.
#pragma once

#include <tconv/v1/layer.pb.h>

#include "server/base/status.h"
#include "server/layer/object_spec.h"

namespace tconv::server {

// Names and arguments are not looked up. INVALID_ARGUMENT about `arguments.<key>`.
StatusOr<ObjectSpec> ObjectSpecFromProto(const v1::KerasObject& proto);

void ToProto(const ObjectSpec& spec, v1::KerasObject* out);

}  // namespace tconv::server
