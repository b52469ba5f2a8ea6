// v1::KerasObject and ObjectSpec, both ways.
#pragma once

#include <tconv/v1/layer.pb.h>

#include <string_view>

#include "server/base/status.h"
#include "server/layer/object_spec.h"

namespace tconv::server {

// Names and arguments are not looked up. INVALID_ARGUMENT about `arguments.<key>`.
StatusOr<ObjectSpec> ObjectSpecFromProto(const v1::KerasObject& proto);

// T is Activation, Initializer, Regularizer or Constraint. INVALID_ARGUMENT about
// `field`.
template <typename T>
StatusOr<T> MakeObject(const v1::KerasObject& proto, std::string_view field) {
  const StatusOr<ObjectSpec> spec = ObjectSpecFromProto(proto);
  if (!spec.ok()) return InField(field, spec.status());
  StatusOr<T> object = T::Make(*spec);
  if (!object.ok()) return InField(field, object.status());
  return object;
}

void ToProto(const ObjectSpec& spec, v1::KerasObject* out);

}  // namespace tconv::server
