#include <fmt/format.h>

#include "manual/completion.h"
#include "manual/shell_words.h"

namespace tconv::manual {
namespace {

std::string Quote(const std::string& text) { return "'" + WithBackslashes(text, "\\'") + "'"; }

std::string Value(const OptionDocs& option) {
  switch (SourceOf(option)) {
    case ValueSource::kWords:
      return " -x -a " + Quote(Join(option.choices(), " "));
    case ValueSource::kFiles:
      return " -r -F";
    case ValueSource::kFolders:
      return " -x -a '(__fish_complete_directories)'";
    case ValueSource::kNothing:
      break;
  }
  return option.value.empty() ? "" : " -x";
}

// "-s h -l help"
std::string Flags(const OptionDocs& option) {
  std::string flags;
  for (const std::string& name : option.names) {
    flags += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  return flags;
}

// `condition` says when they apply; empty: always.
std::string Options(const std::string& program, const std::string& condition,
                    const std::vector<OptionDocs>& options) {
  std::string text;
  for (const OptionDocs& option : options) {
    text += fmt::format("complete -c {}{}{}{} -d {}\n", program, condition, Flags(option),
                        Value(option), Quote(option.description));
  }
  return text;
}

std::string Arguments(const std::string& program, const std::string& condition,
                      const std::vector<OptionDocs>& arguments) {
  std::string text;
  for (const OptionDocs& argument : arguments) {
    if (SourceOf(argument) != ValueSource::kWords) continue;
    text += fmt::format("complete -c {}{}{}\n", program, condition, Value(argument));
  }
  return text;
}

}  // namespace

std::string FishCompletion(const CommandDocs& program) {
  std::string text =
      fmt::format("# Completion of {0} for fish.\ncomplete -c {0} -f\n", program.name);
  text += Options(program.name, "", program.options);
  for (const CommandDocs& command : program.commands) {
    text += fmt::format("complete -c {} -n __fish_use_subcommand -a {} -d {}\n", program.name,
                        command.name, Quote(command.description));
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
    text += Options(program.name, condition, command.options);
    text += Arguments(program.name, condition, command.arguments);
  }
  return text;
}

}  // namespace tconv::manual
