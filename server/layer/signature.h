// Signatures of Keras objects: what the tables of activations, initializers,
// regularizers and constraints have in common.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/base/status.h"
#include "server/layer/object_spec.h"

namespace tconv::server {

// What values an argument may have, in words and as a predicate.
struct ArgumentCheck {
  std::string_view expected;
  bool (*accepts)(const ArgumentValue& value);
};

// Numbers are finite; integers are exact in a double.
extern const ArgumentCheck kNumber;
extern const ArgumentCheck kNonNegative;
extern const ArgumentCheck kPositive;
extern const ArgumentCheck kNonZero;
extern const ArgumentCheck kFraction;  // from 0 to 1
extern const ArgumentCheck kInteger;
extern const ArgumentCheck kBoolean;
extern const ArgumentCheck kNumberOrNull;
extern const ArgumentCheck kNonNegativeOrNull;
extern const ArgumentCheck kIntegerOrNull;
// An integer, a list of at least one integer, or null.
extern const ArgumentCheck kAxes;

inline constexpr std::monostate kNull;

struct Parameter {
  std::string_view name;
  std::optional<ArgumentValue> default_value;  // absent: the argument is required
  ArgumentCheck check;
  std::string_view old_name = {};  // the key of Keras 2, also understood
};

struct Signature {
  std::string_view name;  // the canonical one
  std::vector<std::string_view> aliases;
  std::vector<Parameter> parameters;

  bool IsCalled(std::string_view other) const {
    return name == other || std::find(aliases.begin(), aliases.end(), other) != aliases.end();
  }
};

// `spec` with the canonical name, Keras' present keys and every argument.
// INVALID_ARGUMENT about `arguments.<key>`: a value that its check refuses, an
// unknown key, a missing one that is required.
StatusOr<ObjectSpec> Resolve(const Signature& signature, const ObjectSpec& spec);

// The row of a table whose `signature` is called `name`. INVALID_ARGUMENT about
// `name` when there is none: "expected an activation (elu, ...), got "x"".
template <typename Row>
StatusOr<const Row*> FindRow(const std::vector<Row>& table, std::string_view kind,
                             std::string_view name) {
  std::string known;
  for (const Row& row : table) {
    if (row.signature.IsCalled(name)) return &row;
    known += (known.empty() ? "" : ", ") + std::string(row.signature.name);
  }
  return InvalidField("name", "expected {} ({}), got \"{}\"", kind, known, name);
}

// Arguments of a resolved spec. REQUIRES: present, and of that type.
double NumberArgument(const ObjectSpec& spec, const std::string& key);
const std::string& TextArgument(const ObjectSpec& spec, const std::string& key);
// The axes that a `kAxes` argument names; nothing for null.
std::optional<std::vector<int64_t>> AxesArgument(const ObjectSpec& spec, const std::string& key);

// `axis` counted from the front; INVALID_ARGUMENT about `arguments.<key>` when a
// tensor with `rank` axes has no such axis.
StatusOr<int> NormalizeAxis(const std::string& key, int64_t axis, int rank);

}  // namespace tconv::server
