#include "client/cli/json.h"

#include <google/protobuf/struct.pb.h>
#include <tconv/connection.h>

#include <set>
#include <string>

namespace tconv::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Json StructToJson(const google::protobuf::Struct& object);

Json ValueToJson(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return value.number_value();
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kBoolValue:
      return value.bool_value();
    case google::protobuf::Value::kStructValue:
      return StructToJson(value.struct_value());
    case google::protobuf::Value::kListValue: {
      Json list = Json::array();
      for (const auto& item : value.list_value().values()) list.push_back(ValueToJson(item));
      return list;
    }
    default:
      return nullptr;
  }
}

// The map of a Struct has no order of its own; that of the keys is the same in
// every run.
Json StructToJson(const google::protobuf::Struct& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.fields()) keys.insert(key);
  Json json = Json::object();
  for (const std::string& key : keys) json[key] = ValueToJson(object.fields().at(key));
  return json;
}

// One value of a field; `index` is that in a repeated field, -1 in a singular one.
Json FieldValueToJson(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const auto get = [&](auto singular, auto repeated) {
    return index < 0 ? (reflection.*singular)(message, &field)
                     : (reflection.*repeated)(message, &field, index);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return get(&Reflection::GetFloat, &Reflection::GetRepeatedFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return get(&Reflection::GetBool, &Reflection::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_STRING:
      return get(&Reflection::GetString, &Reflection::GetRepeatedString);
    case FieldDescriptor::CPPTYPE_ENUM:
      return get(&Reflection::GetEnum, &Reflection::GetRepeatedEnum)->name();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(index < 0 ? reflection.GetMessage(message, &field)
                              : reflection.GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

// Every field of a message, and the text in `keras_json` as what it is the text of.
template <typename Hosted>
Json WithKerasObject(const Hosted& hosted) {
  Json json = ToJson(hosted);
  Json keras = Json::parse(hosted.keras_json(), /*cb=*/nullptr, /*allow_exceptions=*/false);
  json["keras_json"] = keras.is_discarded() ? Json() : std::move(keras);
  return json;
}

}  // namespace

Json ToJson(const Message& message) {
  if (const auto* object = dynamic_cast<const google::protobuf::Struct*>(&message)) {
    return StructToJson(*object);
  }
  Json json = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    Json& value = json[field.name()];
    if (field.is_repeated()) {
      value = Json::array();
      const int size = message.GetReflection()->FieldSize(message, &field);
      for (int k = 0; k < size; ++k) value.push_back(FieldValueToJson(message, field, k));
    } else if (!field.has_presence() || message.GetReflection()->HasField(message, &field)) {
      value = FieldValueToJson(message, field, -1);
    }
  }
  return json;
}

Json LayerToJson(const v1::Layer& layer) { return WithKerasObject(layer); }
Json ChainToJson(const v1::Chain& chain) { return WithKerasObject(chain); }

Json ErrorToJson(const absl::Status& error) {
  Json fields = Json::array();
  for (const FieldViolation& violation : FieldViolations(error)) {
    fields.push_back({{"field", violation.field}, {"description", violation.description}});
  }
  return {{"error",
           {{"code", absl::StatusCodeToString(error.code())},
            {"message", std::string(error.message())},
            {"fields", std::move(fields)}}}};
}

std::string Dump(const Json& json) {
  return json.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace tconv::cli
