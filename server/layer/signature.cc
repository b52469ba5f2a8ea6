#include "server/layer/signature.h"

#include <fmt/ranges.h>

#include <cmath>
#include <utility>

namespace tconv::server {
namespace {

constexpr double kMaxExactInteger = 0x1p53;

const double* Number(const ArgumentValue& value) {
  const double* number = std::get_if<double>(&value);
  return number != nullptr && std::isfinite(*number) ? number : nullptr;
}

bool IsNull(const ArgumentValue& value) { return std::holds_alternative<std::monostate>(value); }

bool IsNumber(const ArgumentValue& value) { return Number(value) != nullptr; }

bool IsNonNegative(const ArgumentValue& value) { return IsNumber(value) && *Number(value) >= 0; }

bool IsIntegral(double number) {
  return number == std::trunc(number) && std::abs(number) <= kMaxExactInteger;
}

bool IsInteger(const ArgumentValue& value) { return IsNumber(value) && IsIntegral(*Number(value)); }

bool IsAxes(const ArgumentValue& value) {
  if (const auto* list = std::get_if<std::vector<double>>(&value)) {
    return !list->empty() && std::all_of(list->begin(), list->end(), IsIntegral);
  }
  return IsNull(value) || IsInteger(value);
}

std::string ToText(const ArgumentValue& value) {
  struct Printer {
    std::string operator()(std::monostate) const { return "null"; }
    std::string operator()(bool boolean) const { return boolean ? "true" : "false"; }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return fmt::format("\"{}\"", text); }
    std::string operator()(const std::vector<double>& list) const {
      return fmt::format("[{}]", fmt::join(list, ", "));
    }
  };
  return std::visit(Printer{}, value);
}

std::string FieldOfArgument(std::string_view key) { return fmt::format("arguments.{}", key); }

// Removes the argument for `parameter` from `arguments` and returns its value.
StatusOr<ArgumentValue> Take(const Parameter& parameter,
                             std::map<std::string, ArgumentValue>& arguments) {
  auto given = arguments.extract(std::string(parameter.name));
  if (given.empty() && !parameter.old_name.empty()) {
    given = arguments.extract(std::string(parameter.old_name));
  }
  if (given.empty()) {
    if (parameter.default_value.has_value()) return *parameter.default_value;
    return InvalidField(FieldOfArgument(parameter.name), "expected {}, got nothing",
                        parameter.check.expected);
  }
  if (!parameter.check.accepts(given.mapped())) {
    return InvalidField(FieldOfArgument(given.key()), "expected {}, got {}",
                        parameter.check.expected, ToText(given.mapped()));
  }
  return std::move(given.mapped());
}

}  // namespace

const ArgumentCheck kNumber = {"a number", IsNumber};
const ArgumentCheck kNonNegative = {"a number >= 0", IsNonNegative};
const ArgumentCheck kPositive = {
    "a number > 0", [](const ArgumentValue& v) { return IsNumber(v) && *Number(v) > 0; }};
const ArgumentCheck kNonZero = {
    "a number other than 0", [](const ArgumentValue& v) { return IsNumber(v) && *Number(v) != 0; }};
const ArgumentCheck kFraction = {"a number from 0 to 1", [](const ArgumentValue& v) {
                                   return IsNonNegative(v) && *Number(v) <= 1;
                                 }};
const ArgumentCheck kInteger = {"an integer", IsInteger};
const ArgumentCheck kBoolean = {
    "a boolean", [](const ArgumentValue& v) { return std::holds_alternative<bool>(v); }};
const ArgumentCheck kNumberOrNull = {
    "a number or null", [](const ArgumentValue& v) { return IsNull(v) || IsNumber(v); }};
const ArgumentCheck kNonNegativeOrNull = {
    "a number >= 0 or null", [](const ArgumentValue& v) { return IsNull(v) || IsNonNegative(v); }};
const ArgumentCheck kIntegerOrNull = {
    "an integer or null", [](const ArgumentValue& v) { return IsNull(v) || IsInteger(v); }};
const ArgumentCheck kAxes = {"an integer, a list of integers or null", IsAxes};

StatusOr<ObjectSpec> Resolve(const Signature& signature, const ObjectSpec& spec) {
  ObjectSpec resolved{std::string(signature.name), {}};
  std::map<std::string, ArgumentValue> unused = spec.arguments;
  std::vector<std::string_view> keys;
  for (const Parameter& parameter : signature.parameters) {
    TCONV_ASSIGN_OR_RETURN(ArgumentValue value, Take(parameter, unused));
    resolved.arguments.emplace(parameter.name, std::move(value));
    keys.push_back(parameter.name);
  }
  if (!unused.empty()) {
    return InvalidField(FieldOfArgument(unused.begin()->first),
                        "{} has no such argument; expected {}", spec.name,
                        keys.empty() ? "none" : fmt::format("{}", fmt::join(keys, ", ")));
  }
  return resolved;
}

double NumberArgument(const ObjectSpec& spec, const std::string& key) {
  return std::get<double>(spec.arguments.at(key));
}

const std::string& TextArgument(const ObjectSpec& spec, const std::string& key) {
  return std::get<std::string>(spec.arguments.at(key));
}

std::optional<std::vector<int64_t>> AxesArgument(const ObjectSpec& spec, const std::string& key) {
  const ArgumentValue& value = spec.arguments.at(key);
  if (IsNull(value)) return std::nullopt;
  if (const double* axis = Number(value)) return {{static_cast<int64_t>(*axis)}};
  const auto& list = std::get<std::vector<double>>(value);
  return std::vector<int64_t>(list.begin(), list.end());
}

StatusOr<int> NormalizeAxis(const std::string& key, int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    return InvalidField(FieldOfArgument(key), "expected an axis from {} to {}, got {}", -rank,
                        rank - 1, axis);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace tconv::server
