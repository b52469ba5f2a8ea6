#include "server/wire/json_fields.h"

#include <algorithm>

#include "server/wire/strict_json.h"

namespace tconv::server {

using Json = nlohmann::json;

Status Expected(const JsonField& field, std::string_view what) {
  return InvalidField(field.path, "expected {}, got {}", what,
                      field.present() ? Excerpt(*field.json) : "nothing");
}

bool IsInteger(const Json& json) {
  const bool overflows = json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX;
  return json.is_number_integer() && !overflows;
}

StatusOr<bool> ReadBoolean(const JsonField& field) {
  if (!field.present() || !field.json->is_boolean()) return Expected(field, "a boolean");
  return field.json->get<bool>();
}

StatusOr<int64_t> ReadInteger(const JsonField& field) {
  if (!field.present() || !IsInteger(*field.json)) return Expected(field, "an integer");
  return field.json->get<int64_t>();
}

StatusOr<std::string> ReadText(const JsonField& field) {
  if (!field.present() || !field.json->is_string()) return Expected(field, "a text");
  return field.json->get<std::string>();
}

StatusOr<size_t> ReadChoice(const JsonField& field, std::initializer_list<std::string_view> names) {
  const std::string expected = fmt::format("\"{}\"", fmt::join(names, "\" or \""));
  if (!field.present() || !field.json->is_string()) return Expected(field, expected);
  std::string name = field.json->get<std::string>();
  for (char& c : name) {
    if ('A' <= c && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return Expected(field, expected);
  return static_cast<size_t>(found - names.begin());
}

const Json* FindMember(const Json& json, const std::string& key) {
  if (!json.is_object()) return nullptr;
  const auto member = json.find(key);
  return member == json.end() ? nullptr : &*member;
}

StatusOr<JsonMembers> JsonMembers::Of(const JsonField& field) {
  if (!field.is_object()) return Expected(field, "an object");
  return JsonMembers(field);
}

JsonMembers::JsonMembers(const JsonField& object) : object_(object.json), path_(object.path) {
  for (const auto& member : object_->items()) left_.push_back(member.key());
}

JsonField JsonMembers::Take(const std::string& key) {
  left_.erase(std::remove(left_.begin(), left_.end(), key), left_.end());
  return {PathOf(key), FindMember(*object_, key)};
}

void JsonMembers::Ignore(std::initializer_list<const char*> keys) {
  for (const char* key : keys) Take(key);
}

std::vector<std::pair<std::string, JsonField>> JsonMembers::TakeAll() {
  std::vector<std::pair<std::string, JsonField>> all;
  for (const std::string& key : std::exchange(left_, {})) all.emplace_back(key, Take(key));
  return all;
}

Status JsonMembers::ExpectNothingLeft() const {
  if (left_.empty()) return OkStatus();
  return InvalidField(PathOf(left_.front()), "unrecognized argument");
}

std::string JsonMembers::PathOf(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

}  // namespace tconv::server
