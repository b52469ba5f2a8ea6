#include "formats/strict_json.h"

#include <absl/status/status.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxExcerpt = 60;
constexpr size_t kMaxParserMessage = 160;

// Builds the value from the parser's events, and stops it at the first thing
// that is not allowed.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(size_t most_levels) : most_levels_(most_levels) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(int64_t value) override { return Add(value); }
  bool number_unsigned(uint64_t value) override { return Add(value); }
  bool number_float(double value, const std::string&) override { return Add(value); }
  bool string(std::string& value) override { return Add(std::move(value)); }
  bool binary(Json::binary_t&) override { return Fail("binary values are not JSON"); }

  bool start_object(size_t) override { return Open(Json::object()); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(std::string& key) override {
    if (open_.back()->contains(key)) return Fail("duplicate key " + Excerpt(key));
    key_ = std::move(key);
    return true;
  }

  bool parse_error(size_t, const std::string& last_token,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...;
    // last read: '...'". What was read last may be long or not even text.
    std::string message = error.what();
    message.erase(0, message.find("] ") + 2);
    message.erase(std::min({message.size(), message.find("; last read"), kMaxParserMessage}));
    if (last_token.ends_with('N') || last_token.ends_with('I')) {
      message += " (NaN and Infinity are not JSON)";
    }
    return Fail(message);
  }

  Json TakeValue() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  Json* Place(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  bool Add(Json value) {
    Place(std::move(value));
    return true;
  }

  bool Open(Json container) {
    if (open_.size() == most_levels_) {
      return Fail(fmt::format("nested deeper than {} levels", most_levels_));
    }
    open_.push_back(Place(std::move(container)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  bool Fail(std::string error) {
    error_ = std::move(error);
    return false;
  }

  const size_t most_levels_;
  Json root_;
  // The containers that are not closed yet, outermost first. Their addresses
  // are stable: a container grows only while it is the innermost one.
  std::vector<Json*> open_;
  std::string key_;
  std::string error_;
};

}  // namespace

absl::StatusOr<nlohmann::json> ParseStrictJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return absl::InvalidArgumentError(
        fmt::format("expected at most {} bytes of JSON, got {}", limits.bytes, text.size()));
  }
  // The parser would take a zero byte for the end of the text.
  const bool has_zero_byte = text.find('\0') != std::string_view::npos;
  Builder builder(limits.levels);
  if (has_zero_byte || !Json::sax_parse(text, &builder)) {
    return absl::InvalidArgumentError(fmt::format(
        "expected JSON: {}", has_zero_byte ? "the text has a zero byte" : builder.error()));
  }
  return builder.TakeValue();
}

std::string Excerpt(const nlohmann::json& value) {
  constexpr int kCompact = -1;
  constexpr bool kAsciiOnly = true;
  std::string text = value.dump(kCompact, ' ', kAsciiOnly, Json::error_handler_t::replace);
  if (text.size() > kMaxExcerpt) text.replace(kMaxExcerpt, std::string::npos, "...");
  return text;
}

}  // namespace tconv::formats
