// Reading JSON objects strictly: every member is asked for by its key, has the
// type that is asked for, and none is left unread. Used by sources alone.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "server/base/status.h"

namespace tconv::server {

// A place in a text: its path, and what stands there. Does not own the value.
struct JsonField {
  std::string path;
  const nlohmann::json* json = nullptr;  // null when nothing stands there

  bool present() const { return json != nullptr; }
  bool is_null() const { return present() && json->is_null(); }
  bool is_object() const { return present() && json->is_object(); }
};

// InvalidField() with what the field holds: "expected <what>, got ...".
Status Expected(const JsonField& field, std::string_view what);

// An integer that fits int64_t; not 2.0.
bool IsInteger(const nlohmann::json& json);

// INVALID_ARGUMENT when the field is absent or of another type.
StatusOr<bool> ReadBoolean(const JsonField& field);
StatusOr<int64_t> ReadInteger(const JsonField& field);
StatusOr<std::string> ReadText(const JsonField& field);
// The index of a text among `names`, which are lower case; its own letter case
// does not matter.
StatusOr<size_t> ReadChoice(const JsonField& field, std::initializer_list<std::string_view> names);

// The member of `json`; null when there is none, or when it is not an object.
const nlohmann::json* FindMember(const nlohmann::json& json, const std::string& key);

// The members of an object. Does not own it.
class JsonMembers {
 public:
  // INVALID_ARGUMENT when `field` is not an object.
  static StatusOr<JsonMembers> Of(const JsonField& field);

  // The member, absent or not. It counts as read.
  JsonField Take(const std::string& key);
  // Takes members that are legal and mean nothing here.
  void Ignore(std::initializer_list<const char*> keys);
  // Takes everything that is left, with the keys.
  std::vector<std::pair<std::string, JsonField>> TakeAll();
  // INVALID_ARGUMENT about the first member that nobody took.
  Status ExpectNothingLeft() const;

 private:
  explicit JsonMembers(const JsonField& object);
  std::string PathOf(const std::string& key) const;

  const nlohmann::json* object_;
  std::string path_;
  std::vector<std::string> left_;
};

}  // namespace tconv::server
