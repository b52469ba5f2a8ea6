#include "server/wire/object_codec.h"

#include <cmath>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tconv::server {
namespace {

using google::protobuf::Value;

StatusOr<double> NumberOf(const Value& value) {
  if (value.kind_case() != Value::kNumberValue || !std::isfinite(value.number_value())) {
    return MakeError(StatusCode::kInvalidArgument, "expected finite numbers");
  }
  return value.number_value();
}

StatusOr<ArgumentValue> ArgumentFromProto(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNullValue:
      return ArgumentValue();
    case Value::kBoolValue:
      return ArgumentValue(value.bool_value());
    case Value::kStringValue:
      return ArgumentValue(value.string_value());
    case Value::kNumberValue: {
      TCONV_ASSIGN_OR_RETURN(const double number, NumberOf(value));
      return ArgumentValue(number);
    }
    case Value::kListValue: {
      std::vector<double> numbers;
      for (const Value& element : value.list_value().values()) {
        TCONV_ASSIGN_OR_RETURN(const double number, NumberOf(element));
        numbers.push_back(number);
      }
      return ArgumentValue(std::move(numbers));
    }
    case Value::kStructValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return MakeError(StatusCode::kInvalidArgument,
                   "expected null, a boolean, a number, a text or a list of numbers");
}

void ToProto(const ArgumentValue& argument, Value* out) {
  struct Setter {
    Value* out;
    void operator()(std::monostate) { out->set_null_value(google::protobuf::NULL_VALUE); }
    void operator()(bool value) { out->set_bool_value(value); }
    void operator()(double value) { out->set_number_value(value); }
    void operator()(const std::string& value) { out->set_string_value(value); }
    void operator()(const std::vector<double>& values) {
      auto* list = out->mutable_list_value();
      for (const double value : values) list->add_values()->set_number_value(value);
    }
  };
  std::visit(Setter{out}, argument);
}

}  // namespace

StatusOr<ObjectSpec> ObjectSpecFromProto(const v1::KerasObject& proto) {
  ObjectSpec spec{.name = proto.name(), .arguments = {}};
  for (const auto& [key, value] : proto.arguments().fields()) {
    StatusOr<ArgumentValue> argument = ArgumentFromProto(value);
    if (!argument.ok()) {
      return InvalidField("arguments." + key, std::string(argument.status().message()));
    }
    spec.arguments.emplace(key, *std::move(argument));
  }
  return spec;
}

void ToProto(const ObjectSpec& spec, v1::KerasObject* out) {
  out->set_name(spec.name);
  auto& fields = *out->mutable_arguments()->mutable_fields();
  for (const auto& [key, argument] : spec.arguments) ToProto(argument, &fields[key]);
}

}  // namespace tconv::server
