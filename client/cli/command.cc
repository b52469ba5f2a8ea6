#include "client/cli/command.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

namespace tconv::cli {
namespace {

std::optional<Shape> ParseExtents(const std::string& text) {
  Shape extents;
  std::istringstream items(text + ',');
  for (std::string item; std::getline(items, item, ',');) {
    if (item == "None" || item == "?") item = "-1";
    int64_t extent = 0;
    const char* end = item.data() + item.size();
    if (std::from_chars(item.data(), end, extent) != std::from_chars_result{end, {}}) return {};
    extents.push_back(extent);
  }
  return extents;
}

std::optional<v1::KerasObject> ParsedObject(const std::string& text) {
  v1::KerasObject object;
  std::istringstream words(text);
  words >> *object.mutable_name();
  for (std::string word; words >> word;) {
    const size_t sign = word.find('=');
    if (sign == 0 || sign == std::string::npos) return {};
    auto& value = (*object.mutable_arguments()->mutable_fields())[word.substr(0, sign)];
    if (!google::protobuf::util::JsonStringToMessage(word.substr(sign + 1), &value).ok()) return {};
  }
  if (object.name().empty()) return {};
  return object;
}

}  // namespace

void AddName(CLI::App& parser, std::string& name, const std::string& description) {
  parser.add_option("name", name, description)->required();
}

v1::KerasObject ParseObject(const std::string& flag, const std::string& text) {
  std::optional<v1::KerasObject> object = ParsedObject(text);
  if (object) return *std::move(object);
  throw CLI::ValidationError(
      flag, fmt::format("expected a name and JSON values like Name a=1 b=true, got {}", text));
}

CLI::Option* AddFile(CLI::App& parser, const std::string& flag, std::string& path,
                     const std::string& description) {
  return parser.add_option(flag, path, description)->type_name("FILE");
}

CLI::Option* AddExtents(CLI::App& parser, const std::string& flag, Shape& extents,
                        const std::string& description) {
  const auto parse = [flag, &extents](const std::string& text) {
    std::optional<Shape> parsed = ParseExtents(text);
    if (!parsed) {
      throw CLI::ValidationError(flag, fmt::format("expected integers like 3,3, got {}", text));
    }
    extents = *std::move(parsed);
  };
  return parser.add_option_function<std::string>(flag, parse, description)->type_name("INT,...");
}

CLI::Option* AddObject(CLI::App& parser, const std::string& flag, v1::KerasObject& object,
                       const std::string& description) {
  const auto parse = [flag, &object](const std::string& text) { object = ParseObject(flag, text); };
  return parser.add_option_function<std::string>(flag, parse, description)
      ->type_name("\"NAME KEY=JSON ...\"");
}

void RequireOneUserOfStandardStream(const std::vector<std::string>& paths) {
  if (std::count(paths.begin(), paths.end(), "-") > 1) {
    throw CLI::ValidationError("\"-\"", "expected at most once");
  }
}

}  // namespace tconv::cli
