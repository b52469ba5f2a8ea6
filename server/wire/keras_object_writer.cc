#include "server/wire/keras_object_writer.h"

#include <utility>
#include <variant>
#include <vector>

namespace tconv::server {
namespace {

using Json = OrderedJson;

// Keras takes floats where it expects numbers, but only integers as axes and
// seeds.
bool IsInteger(std::string_view argument) {
  return argument == "axis" || argument == "seed" || argument == "input_axes" ||
         argument == "output_axes";
}

}  // namespace

OrderedJson Serialized(std::string_view module, std::string_view class_name, OrderedJson config) {
  Json json;
  json["module"] = module;
  json["class_name"] = class_name;
  json["config"] = std::move(config);
  json["registered_name"] = nullptr;
  return json;
}

OrderedJson ArgumentToJson(std::string_view name, const ArgumentValue& value) {
  struct Printer {
    bool is_integer;
    Json operator()(std::monostate) const { return nullptr; }
    Json operator()(bool boolean) const { return boolean; }
    Json operator()(double number) const {
      return is_integer ? Json(static_cast<int64_t>(number)) : Json(number);
    }
    Json operator()(const std::string& text) const { return text; }
    Json operator()(const std::vector<double>& numbers) const {
      Json list = Json::array();
      for (const double number : numbers) list.push_back((*this)(number));
      return list;
    }
  };
  return std::visit(Printer{IsInteger(name)}, value);
}

OrderedJson ObjectToJson(std::string_view module, const ObjectSpec& spec) {
  Json config = Json::object();
  for (const auto& [name, value] : spec.arguments) config[name] = ArgumentToJson(name, value);
  return Serialized(module, spec.name, std::move(config));
}

std::string ToText(const OrderedJson& json) {
  constexpr int kCompact = -1;
  constexpr bool kAsciiOnly = true;
  return json.dump(kCompact, ' ', kAsciiOnly, Json::error_handler_t::replace);
}

}  // namespace tconv::server
