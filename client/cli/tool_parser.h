// The command line of the tool, apart from what it does.
#pragma once

#include <tconv/credentials.h>

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/cli/command.h"

namespace tconv::cli {

// What applies to every command.
struct GlobalOptions {
  std::string server = "127.0.0.1:8500";
  double deadline_seconds = 60;
  bool json = false;
  bool tls = false;
  TlsFiles tls_files = {};
  std::string token_file = {};
  bool allow_plaintext = false;
};

// The parser with every option and command, and what it has parsed.
class ToolParser {
 public:
  ToolParser();
  ToolParser(const ToolParser&) = delete;
  ToolParser& operator=(const ToolParser&) = delete;

  CLI::App& app() { return app_; }
  const GlobalOptions& options() const { return options_; }
  // The one that was on the command line. REQUIRES: it was parsed without an error.
  const Command& command() const;

 private:
  CLI::App app_;
  GlobalOptions options_;
  std::vector<Command> commands_;
};

}  // namespace tconv::cli
