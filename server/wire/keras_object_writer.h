// Writing the objects inside the JSON of Keras 3. Used by the sources of this room
// alone.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "server/layer/object_spec.h"

namespace tconv::server {

// Keys stay in the order in which Keras writes them.
using OrderedJson = nlohmann::ordered_json;

OrderedJson Serialized(std::string_view module, std::string_view class_name, OrderedJson config);

// The argument `name` of an object.
OrderedJson ArgumentToJson(std::string_view name, const ArgumentValue& value);
OrderedJson ObjectToJson(std::string_view module, const ObjectSpec& spec);

// Compact, in ASCII.
std::string ToText(const OrderedJson& json);

}  // namespace tconv::server
