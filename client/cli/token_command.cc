#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "client/cli/command.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {
namespace {

using Bytes = std::array<unsigned char, 32>;

std::string Hex(std::span<const unsigned char> bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

// 256 random bits. What it begins with lets people, and tools that look for leaked
// secrets, see what it is.
absl::StatusOr<std::string> MakeToken() {
  Bytes bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return absl::UnknownError("the system gives no random numbers");
  }
  return "tconv_" + Hex(bytes);
}

std::string Sha256Of(std::string_view text) {
  Bytes digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return Hex(digest);
}

// For the user alone, and never in the place of another.
absl::Status WriteSecret(const std::string& path, const std::string& secret) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const std::string line = secret + "\n";
  const bool is_written =
      file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  if (file >= 0) close(file);
  if (is_written) return absl::OkStatus();
  return absl::UnknownError(fmt::format("{}: {}", path, std::strerror(error)));
}

struct Flags {
  std::string name;
  std::string role = "read";
  std::vector<std::string> layers;
  std::string tenant;
  std::string out;
};

// As the access file of the server has it.
Json EntryOf(const Flags& flags, const std::string& token) {
  Json entry = {{"name", flags.name}, {"sha256", Sha256Of(token)}, {"role", flags.role}};
  if (!flags.layers.empty()) entry["layers"] = flags.layers;
  if (!flags.tenant.empty()) entry["tenant"] = flags.tenant;
  return entry;
}

absl::Status MakeAndReport(const Flags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const std::string token, MakeToken());
  Json json = {{"entry", EntryOf(flags, token)}};
  std::string text =
      fmt::format("entry for \"tokens\" in the access file:\n{}\n", Dump(json["entry"]));
  if (flags.out.empty()) {
    json["token"] = token;
    text += fmt::format("token, which nobody can find out from the entry:\n{}\n", token);
  } else {
    TCONV_CLI_RETURN_IF_ERROR(WriteSecret(flags.out, token));
  }
  session.Report(json, text);
  return absl::OkStatus();
}

}  // namespace

Command AddToken(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* parser =
      app.add_subcommand("token", "Make a token for a server's access file; no server is called");
  parser->add_option("name", flags->name, "Who will have it, for logs")->required();
  parser->add_option("--role", flags->role, "What it is good for")
      ->check(CLI::IsMember({"read", "write", "admin"}).description(""))
      ->type_name("read|write|admin")
      ->capture_default_str();
  auto* layers = parser
                     ->add_option("--layers", flags->layers,
                                  "Prefixes of the layers that it is good for; \"\": all")
                     ->delimiter(',')
                     ->type_name("PREFIX,...");
  parser->add_option("--tenant", flags->tenant, "Or the tenant whose layers they are")
      ->excludes(layers);
  AddFile(*parser, "--out", flags->out, "New file for the token, which is else printed");
  parser->final_callback([flags] {
    const bool is_confined = !flags->layers.empty() || !flags->tenant.empty();
    if (is_confined != (flags->role == "admin")) return;
    throw CLI::ValidationError("--role", "read and write need --layers or --tenant, admin neither");
  });
  return {parser, [flags](Session& session) { return MakeAndReport(*flags, session); }};
}

}  // namespace tconv::cli
