// Reading the objects inside the JSON of Keras. Used by the sources of
// this room alone.
#pragma once

#include <tconv/v1/layer.pb.h>

#include <string>

#include "server/base/status.h"
#include "server/wire/json_fields.h"

namespace tconv::server {

// Each reads one present field: a name, or a serialized object as Keras 2 or 3
// writes it. Names and arguments are not looked up here. INVALID_ARGUMENT with
// the path of the member.

// null is "linear". The name of a layer is not the name of a function; layers
// are objects.
Status ReadActivation(const JsonField& field, v1::KerasObject* out);
// null is "glorot_uniform", as in Keras, for the bias as well.
Status ReadInitializer(const JsonField& field, v1::KerasObject* out);
Status ReadRegularizer(const JsonField& field, v1::KerasObject* out);
Status ReadConstraint(const JsonField& field, v1::KerasObject* out);
// A learning rate has to be a number; a schedule is an object.
Status ReadOptimizer(const JsonField& field, v1::KerasObject* out);

// The name of a dtype policy.
StatusOr<std::string> ReadDTypePolicy(const JsonField& field);

}  // namespace tconv::server
