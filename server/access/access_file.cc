#include "server/access/access_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "server/wire/json_fields.h"
#include "server/wire/strict_json.h"

namespace tconv::server {
namespace {

// Leaves room for the rest of a name.
constexpr size_t kMaxPrefixBytes = 128;

// Names appear in messages and logs.
StatusOr<std::string> CheckedName(const std::string& path, std::string name) {
  constexpr size_t kMaxNameBytes = 64;
  const auto is_plain = [](char c) { return 0x20 < c && c < 0x7f && c != '"'; };
  if (name.empty() || name.size() > kMaxNameBytes ||
      !std::all_of(name.begin(), name.end(), is_plain)) {
    return InvalidField(path, "expected 1 to {} visible ASCII characters", kMaxNameBytes);
  }
  return name;
}

StatusOr<std::vector<std::string>> ReadPrefixes(const JsonField& field) {
  if (!field.present() || !field.json->is_array() || field.json->empty()) {
    return Expected(field, "a list of prefixes");
  }
  std::vector<std::string> prefixes;
  for (size_t i = 0; i < field.json->size(); ++i) {
    const JsonField prefix{fmt::format("{}[{}]", field.path, i), &(*field.json)[i]};
    TCONV_ASSIGN_OR_RETURN(std::string text, ReadText(prefix));
    if (text.size() > kMaxPrefixBytes || text.find('/') != std::string::npos) {
      return InvalidField(prefix.path, "expected at most {} bytes without \"/\"", kMaxPrefixBytes);
    }
    prefixes.push_back(std::move(text));
  }
  return prefixes;
}

Status ReadLimit(JsonMembers& members, const char* key, int64_t& limit) {
  const JsonField field = members.Take(key);
  if (!field.present()) return OkStatus();
  TCONV_ASSIGN_OR_RETURN(limit, ReadInteger(field));
  return limit < 0 ? Expected(field, "0 or more") : OkStatus();
}

StatusOr<TenantLimits> ReadLimits(const JsonField& field) {
  TenantLimits limits;
  if (!field.present()) return limits;
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of(field));
  TCONV_RETURN_IF_ERROR(ReadLimit(members, "layers", limits.layers));
  TCONV_RETURN_IF_ERROR(ReadLimit(members, "weight_bytes", limits.weight_bytes));
  TCONV_RETURN_IF_ERROR(ReadLimit(members, "plan_bytes", limits.plan_bytes));
  TCONV_RETURN_IF_ERROR(ReadLimit(members, "in_flight_bytes", limits.in_flight_bytes));
  TCONV_RETURN_IF_ERROR(ReadLimit(members, "calls_per_second", limits.calls_per_second));
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return limits;
}

// A layer must not have two owners, and not be one's twice.
Status CheckApart(const JsonField& layers, const std::vector<std::string>& prefixes,
                  const std::vector<TenantRules>& others) {
  std::vector<std::string> taken;
  for (const TenantRules& other : others) {
    taken.insert(taken.end(), other.prefixes.begin(), other.prefixes.end());
  }
  for (const std::string& prefix : prefixes) {
    if (prefix.empty()) return InvalidField(layers.path, "expected prefixes that are not empty");
    for (const std::string& other : taken) {
      if (!other.starts_with(prefix) && !prefix.starts_with(other)) continue;
      return InvalidField(layers.path, "\"{}\" and \"{}\" have layers in common", prefix, other);
    }
    taken.push_back(prefix);
  }
  return OkStatus();
}

StatusOr<TenantRules> ReadTenant(const std::string& name, const JsonField& field,
                                 const std::vector<TenantRules>& others) {
  TenantRules tenant;
  TCONV_ASSIGN_OR_RETURN(tenant.name, CheckedName("tenants", name));
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of(field));
  const JsonField layers = members.Take("layers");
  TCONV_ASSIGN_OR_RETURN(tenant.prefixes, ReadPrefixes(layers));
  TCONV_RETURN_IF_ERROR(CheckApart(layers, tenant.prefixes, others));
  TCONV_ASSIGN_OR_RETURN(tenant.limits, ReadLimits(members.Take("limits")));
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return tenant;
}

StatusOr<std::vector<TenantRules>> ReadTenants(const JsonField& field) {
  std::vector<TenantRules> tenants;
  if (!field.present()) return tenants;
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of(field));
  for (const auto& [name, tenant] : members.TakeAll()) {
    TCONV_ASSIGN_OR_RETURN(TenantRules rules, ReadTenant(name, tenant, tenants));
    tenants.push_back(std::move(rules));
  }
  return tenants;
}

// Which layers a token is good for, and whose limits count.
Status ReadScope(const std::string& path, const JsonField& layers, const JsonField& tenant,
                 const std::vector<TenantRules>& tenants, TokenRules& token) {
  if (token.role == Role::kAdmin) {
    if (layers.present() || tenant.present()) {
      return InvalidField(path, "an admin is good for all layers: expected no layers, no tenant");
    }
    token.prefixes = {""};
    return OkStatus();
  }
  if (layers.present() == tenant.present()) {
    return InvalidField(path, "expected either layers or a tenant");
  }
  if (layers.present()) {
    TCONV_ASSIGN_OR_RETURN(token.prefixes, ReadPrefixes(layers));
    return OkStatus();
  }
  TCONV_ASSIGN_OR_RETURN(token.tenant, ReadText(tenant));
  const auto found = std::find_if(tenants.begin(), tenants.end(),
                                  [&](const TenantRules& t) { return t.name == token.tenant; });
  if (found == tenants.end()) return Expected(tenant, "the name of a tenant");
  token.prefixes = found->prefixes;
  return OkStatus();
}

StatusOr<TokenRules> ReadToken(const JsonField& field, const std::vector<TenantRules>& tenants) {
  TokenRules token;
  // What stands here, or as the digest, may be the token itself by mistake: it is
  // not repeated.
  if (!field.is_object()) return InvalidField(field.path, "expected an object");
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of(field));
  const JsonField name = members.Take("name");
  TCONV_ASSIGN_OR_RETURN(std::string text, ReadText(name));
  TCONV_ASSIGN_OR_RETURN(token.name, CheckedName(name.path, std::move(text)));
  const JsonField sha256 = members.Take("sha256");
  const auto digest = sha256.present() && sha256.json->is_string()
                          ? DigestFromHex(sha256.json->get_ref<const std::string&>())
                          : std::nullopt;
  if (!digest.has_value()) {
    return InvalidField(sha256.path, "expected the SHA-256 of the token in 64 hexadecimal digits");
  }
  token.digest = *digest;
  TCONV_ASSIGN_OR_RETURN(const size_t role, ReadChoice(members.Take("role"),
                                                       {NameOf(Role::kRead), NameOf(Role::kWrite),
                                                        NameOf(Role::kAdmin)}));
  token.role = static_cast<Role>(role);
  const JsonField layers = members.Take("layers");
  TCONV_RETURN_IF_ERROR(ReadScope(field.path, layers, members.Take("tenant"), tenants, token));
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return token;
}

Status CheckUnique(const std::string& path, const TokenRules& token,
                   const std::vector<TokenRules>& others) {
  for (const TokenRules& other : others) {
    if (other.name == token.name) return InvalidField(path, "\"{}\" occurs twice", token.name);
    if (other.digest == token.digest) {
      return InvalidField(path, "\"{}\" and \"{}\" are the same token", other.name, token.name);
    }
  }
  return OkStatus();
}

StatusOr<std::vector<TokenRules>> ReadTokens(const JsonField& field,
                                             const std::vector<TenantRules>& tenants) {
  constexpr size_t kMaxTokens = 10'000;
  if (!field.present() || !field.json->is_array()) return Expected(field, "a list of tokens");
  if (field.json->size() > kMaxTokens) {
    return InvalidField(field.path, "expected at most {} tokens", kMaxTokens);
  }
  std::vector<TokenRules> tokens;
  for (size_t i = 0; i < field.json->size(); ++i) {
    const JsonField item{fmt::format("{}[{}]", field.path, i), &(*field.json)[i]};
    TCONV_ASSIGN_OR_RETURN(TokenRules token, ReadToken(item, tenants));
    TCONV_RETURN_IF_ERROR(CheckUnique(item.path, token, tokens));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

StatusOr<AccessRules> ParseAccessFile(std::string_view json) {
  TCONV_ASSIGN_OR_RETURN(const nlohmann::json root, ParseStrictJson(json));
  TCONV_ASSIGN_OR_RETURN(JsonMembers members, JsonMembers::Of({"", &root}));
  AccessRules rules;
  TCONV_ASSIGN_OR_RETURN(rules.tenants, ReadTenants(members.Take("tenants")));
  TCONV_ASSIGN_OR_RETURN(rules.tokens, ReadTokens(members.Take("tokens"), rules.tenants));
  TCONV_RETURN_IF_ERROR(members.ExpectNothingLeft());
  return rules;
}

StatusOr<std::string> ReadAccessFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  // One byte more than allowed tells that there are too many.
  std::string text(kMaxJsonBytes + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) {
    return MakeError(StatusCode::kUnavailable, "cannot read {}: {}", path, std::strerror(errno));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxJsonBytes) {
    return MakeError(StatusCode::kInvalidArgument, "{} is larger than {} bytes", path,
                     kMaxJsonBytes);
  }
  return text;
}

}  // namespace tconv::server
