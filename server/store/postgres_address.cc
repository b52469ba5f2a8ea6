#include "server/store/postgres_address.h"

#include <libpq-fe.h>

#include <map>
#include <memory>

namespace tconv::server {
namespace {

// How soon a host that has vanished is noticed; a closed port is at once.
const std::map<std::string, std::string> kDefaults = {
    {"application_name", "tconv-server"},
    {"client_encoding", "UTF8"},
    {"connect_timeout", "5"},  // seconds
    {"keepalives_count", "3"},
    {"keepalives_idle", "5"},       // seconds
    {"keepalives_interval", "3"},   // seconds
    {"tcp_user_timeout", "15000"},  // milliseconds
};

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

using Options = std::map<std::string, std::string>;

StatusOr<Options> ParseUri(const std::string& uri) {
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> parsed(PQconninfoParse(uri.c_str(), &error));
  if (parsed == nullptr) {
    PQfreemem(error);  // shows the address, and with it a password
    return InvalidField("store",
                        "expected postgres://[user@][host][:port]/[database][?name=value&...], got "
                        "what libpq cannot read");
  }
  Options options;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) options[option->keyword] = option->val;
  }
  return options;
}

// As libpq takes it: '...' around what may hold spaces.
std::string Quoted(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string NameOf(const Options& options) {
  const auto part = [&](const char* key, const char* before, const char* after) {
    const auto it = options.find(key);
    return it == options.end() ? std::string() : before + it->second + after;
  };
  return "postgres://" + part("user", "", "@") + part("host", "", "") + part("port", ":", "") +
         part("dbname", "/", "");
}

}  // namespace

StatusOr<PostgresAddress> ParsePostgresAddress(const std::string& uri) {
  TCONV_ASSIGN_OR_RETURN(Options options, ParseUri(uri));
  PostgresAddress address{.connection_string = "", .name = NameOf(options)};
  options.insert(kDefaults.begin(), kDefaults.end());
  for (const auto& [key, value] : options) {
    address.connection_string += key + "=" + Quoted(value) + " ";
  }
  return address;
}

}  // namespace tconv::server
