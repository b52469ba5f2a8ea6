// What `tconv --json` prints.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/message.h>
#include <tconv/v1/chain.pb.h>
#include <tconv/v1/layer.pb.h>

#include <nlohmann/json.hpp>

namespace tconv::cli {

// Keeps keys in the order they are set.
using Json = nlohmann::ordered_json;

// Every field of `message` under its name in the .proto, defaults included and
// absent messages as null. Integers are numbers and enums their names.
Json ToJson(const google::protobuf::Message& message);

// The same for a layer or a chain, with `keras_json` as the object it is the text of,
// or null when Keras has no form for it.
Json LayerToJson(const v1::Layer& layer);
Json ChainToJson(const v1::Chain& chain);

// {"error": {"code": "NOT_FOUND", "message": …, "fields": [{"field": …,
// "description": …}]}}
Json ErrorToJson(const absl::Status& error);

// On one line, other bytes than UTF-8 replaced.
std::string Dump(const Json& json);

}  // namespace tconv::cli
