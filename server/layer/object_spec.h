// The neutral form of an activation, initializer, regularizer or constraint:
// a Keras name and its arguments. What JSON and protos parse to, and what the
// tables of this room resolve. Errors about a spec name the fields "name" and
// "arguments.<key>".
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace tconv::server {

// null, boolean, number, text or list of numbers.
using ArgumentValue = std::variant<std::monostate, bool, double, std::string, std::vector<double>>;

struct ObjectSpec {
  std::string name;
  std::map<std::string, ArgumentValue> arguments;

  friend bool operator==(const ObjectSpec&, const ObjectSpec&) = default;
};

}  // namespace tconv::server
