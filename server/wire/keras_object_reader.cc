#include "server/wire/keras_object_reader.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

namespace tconv::server {
namespace {

using Json = nlohmann::json;
using google::protobuf::Value;

// Layers that may stand for an activation. They are the only form of it that
// carries parameters.
constexpr std::string_view kActivationLayers[] = {"Activation", "ELU", "LeakyReLU", "ReLU",
                                                  "Softmax"};

constexpr int64_t kMaxExactInteger = int64_t{1} << 53;

bool IsActivationLayer(std::string_view name) {
  return std::count(std::begin(kActivationLayers), std::end(kActivationLayers), name) > 0;
}

struct ClassAndConfig {
  JsonField class_name;  // a text
  JsonField config;

  std::string name() const { return class_name.json->get<std::string>(); }
};

// The module is advisory, for it differs between versions: the class name
// decides.
StatusOr<ClassAndConfig> ReadClassAndConfig(const JsonField& field) {
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of(field));
  const ClassAndConfig object{members.Take("class_name"), members.Take("config")};
  TCONV_RETURN_IF_ERROR(ReadText(object.class_name).status());
  members.Ignore({"module", "registered_name", "shared_object_id", "build_config"});
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return object;
}

// Numbers travel as doubles, so an integer that a double cannot hold is refused.
Status ReadNumber(const JsonField& field, const Json& json, Value* out) {
  if (json.is_number_integer() && (!IsInteger(json) || json.get<int64_t>() > kMaxExactInteger ||
                                   json.get<int64_t>() < -kMaxExactInteger)) {
    return Expected(field, "integers of at most 53 bits");
  }
  out->set_number_value(json.get<double>());
  return OkStatus();
}

Status ReadArgument(const JsonField& field, Value* out) {
  const Json& json = *field.json;
  if (json.is_number()) return ReadNumber(field, json, out);
  if (json.is_null()) {
    out->set_null_value(google::protobuf::NULL_VALUE);
  } else if (json.is_boolean()) {
    out->set_bool_value(json.get<bool>());
  } else if (json.is_string()) {
    out->set_string_value(json.get<std::string>());
  } else if (json.is_array()) {
    auto* list = out->mutable_list_value();
    for (const Json& element : json) {
      if (!element.is_number()) return Expected(field, "a list of numbers");
      TCONV_RETURN_IF_ERROR(ReadNumber(field, element, list->add_values()));
    }
  } else {
    return Expected(field, "a plain value");
  }
  return OkStatus();
}

// A seed may be the generator that was made from it.
Status ReadSeed(const JsonField& field, Value* out) {
  if (!field.is_object()) return ReadArgument(field, out);
  TCONV_ASSIGN_OR_RETURN(const ClassAndConfig generator, ReadClassAndConfig(field));
  if (generator.name() != "SeedGenerator") {
    return Expected(generator.class_name, "SeedGenerator");
  }
  TCONV_ASSIGN_OR_RETURN(JsonMembers config, JsonMembers::Of(generator.config));
  const JsonField seed = config.Take("seed");
  if (!seed.present()) return Expected(seed, "an integer or null");
  config.Ignore({"name"});
  TCONV_RETURN_IF_ERROR(config.ExpectNothingLeft());
  return ReadArgument(seed, out);
}

Status ReadArguments(JsonMembers members, v1::KerasObject* out) {
  auto& arguments = *out->mutable_arguments()->mutable_fields();
  for (const auto& [key, field] : members.TakeAll()) {
    TCONV_RETURN_IF_ERROR(key == "seed" ? ReadSeed(field, &arguments[key])
                                        : ReadArgument(field, &arguments[key]));
  }
  return OkStatus();
}

Status ReadName(const JsonField& field, v1::KerasObject* out) {
  TCONV_ASSIGN_OR_RETURN(*out->mutable_name(), ReadText(field));
  return OkStatus();
}

Status ReadActivationLayer(const ClassAndConfig& layer, v1::KerasObject* out) {
  TCONV_ASSIGN_OR_RETURN(JsonMembers config, JsonMembers::Of(layer.config));
  // It computes in the type of the layer that it is part of.
  config.Ignore({"name", "trainable", "dtype", "batch_input_shape", "dynamic"});
  if (layer.name() != "Activation") {
    out->set_name(layer.name());
    return ReadArguments(std::move(config), out);
  }
  const JsonField activation = config.Take("activation");
  if (!activation.present()) return Expected(activation, "an activation");
  TCONV_RETURN_IF_ERROR(config.ExpectNothingLeft());
  return ReadActivation(activation, out);
}

// A name, or an object with its arguments.
Status ReadObject(const JsonField& field, v1::KerasObject* out) {
  if (!field.is_object()) return ReadName(field, out);
  TCONV_ASSIGN_OR_RETURN(const ClassAndConfig object, ReadClassAndConfig(field));
  out->set_name(object.name());
  TCONV_ASSIGN_OR_RETURN(JsonMembers config, JsonMembers::Of(object.config));
  return ReadArguments(std::move(config), out);
}

}  // namespace

Status ReadActivation(const JsonField& field, v1::KerasObject* out) {
  if (field.is_null()) {
    out->set_name("linear");
    return OkStatus();
  }
  if (!field.is_object()) {
    TCONV_RETURN_IF_ERROR(ReadName(field, out));
    if (IsActivationLayer(out->name())) {
      return Expected(field, "the name of a function, or a layer as an object");
    }
    return OkStatus();
  }
  TCONV_ASSIGN_OR_RETURN(const ClassAndConfig object, ReadClassAndConfig(field));
  if (object.name() == "function") return ReadName(object.config, out);
  if (IsActivationLayer(object.name())) return ReadActivationLayer(object, out);
  return Expected(object.class_name,
                  fmt::format("function or one of {}", fmt::join(kActivationLayers, ", ")));
}

Status ReadInitializer(const JsonField& field, v1::KerasObject* out) {
  if (field.is_null()) {
    out->set_name("glorot_uniform");
    return OkStatus();
  }
  TCONV_RETURN_IF_ERROR(ReadObject(field, out));
  if (!field.is_object() && (out->name() == "constant" || out->name() == "Constant")) {
    return Expected(field, "an object with the value of the constant");
  }
  // Versions differ in the arguments that they list as null. TF1 adds a type,
  // which is never other than the layer's.
  auto& arguments = *out->mutable_arguments()->mutable_fields();
  for (auto argument = arguments.begin(); argument != arguments.end();) {
    const bool drop = argument->first == "dtype" || argument->second.has_null_value();
    argument = drop ? arguments.erase(argument) : std::next(argument);
  }
  return OkStatus();
}

Status ReadRegularizer(const JsonField& field, v1::KerasObject* out) {
  return ReadObject(field, out);
}

Status ReadConstraint(const JsonField& field, v1::KerasObject* out) {
  return ReadObject(field, out);
}

Status ReadOptimizer(const JsonField& field, v1::KerasObject* out) {
  const Json* config = field.is_object() ? FindMember(*field.json, "config") : nullptr;
  const Json* rate = config == nullptr ? nullptr : FindMember(*config, "learning_rate");
  if (rate != nullptr && rate->is_object()) {
    return Expected({"config.learning_rate", rate}, "a number: schedules are not supported");
  }
  return ReadObject(field, out);
}

StatusOr<std::string> ReadDTypePolicy(const JsonField& field) {
  if (!field.is_object()) return ReadText(field);
  TCONV_ASSIGN_OR_RETURN(const ClassAndConfig policy, ReadClassAndConfig(field));
  if (policy.name() != "DTypePolicy" && policy.name() != "Policy") {
    return Expected(policy.class_name, "DTypePolicy or Policy");
  }
  TCONV_ASSIGN_OR_RETURN(JsonMembers config, JsonMembers::Of(policy.config));
  const JsonField name = config.Take("name");
  TCONV_RETURN_IF_ERROR(config.ExpectNothingLeft());
  return ReadText(name);
}

}  // namespace tconv::server
