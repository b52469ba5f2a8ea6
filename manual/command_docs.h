// What a program's command line consists of, read off its parser, so that manuals and
// shells say what the program does.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace tconv::manual {

// An option, or an argument that goes by its place.
struct OptionDocs {
  std::vector<std::string> names = {};  // with their dashes, short ones first
  std::string value = {};               // the kind of its value, "FILE"; empty: it takes none
  std::string description = {};
  std::string initial = {};   // its default; empty: none is told
  std::string variable = {};  // of the environment, from which it may come; empty: none
  bool is_required = false;
  bool is_list = false;

  // The words that the value may be: those of a kind like "read|write".
  std::vector<std::string> choices() const;
};

struct CommandDocs {
  std::string name = {};
  std::string description = {};
  std::vector<OptionDocs> options = {};
  std::vector<OptionDocs> arguments = {};  // by their places
  std::vector<CommandDocs> commands = {};
  std::string footer = {};  // of its --help
};

CommandDocs DocsOf(const CLI::App& app);

}  // namespace tconv::manual
