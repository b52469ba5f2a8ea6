#include <fmt/format.h>

#include "manual/completion.h"
#include "manual/shell_words.h"

namespace tconv::manual {
namespace {

// Lines of a file name are not split, and a file that is named is not taken for a word.
constexpr char kFrame[] = R"(# Completion of {program} for bash.
{function}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
{find_command}    esac
  done
  COMPREPLY=()
  case "$command $previous" in
{values}  esac
  if [[ $current == -* ]]; then
    case $command in
{options}    esac
    return
  fi
  case $command in
{arguments}  esac
}}
{function}_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }}
{function}_paths() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}}
complete -F {function} {program}
)";

std::string Words(const std::string& function, const std::vector<std::string>& words) {
  return fmt::format("{}_words \"{}\" \"$current\"", function, Join(words, " "));
}

// What is offered as a value; empty: nothing.
std::string Offer(const std::string& function, const OptionDocs& option) {
  switch (SourceOf(option)) {
    case ValueSource::kWords:
      return Words(function, option.choices());
    case ValueSource::kFiles:
      return fmt::format("{}_paths -f \"$current\"", function);
    case ValueSource::kFolders:
      return fmt::format("{}_paths -d \"$current\"", function);
    case ValueSource::kNothing:
      break;
  }
  return "";
}

// `scope` is a command, or a * for options that may follow each of them.
std::string ValueCases(const std::string& function, const std::string& scope,
                       const std::vector<OptionDocs>& options) {
  std::string cases;
  for (const OptionDocs& option : options) {
    if (option.value.empty()) continue;
    for (const std::string& name : option.names) {
      const std::string offer = Offer(function, option);
      cases += fmt::format("    {}\" {}\") {}return ;;\n", scope, name,
                           offer.empty() ? "" : offer + "; ");
    }
  }
  return cases;
}

std::string OptionCase(const std::string& function, const CommandDocs& program,
                       const std::string& scope, const std::vector<OptionDocs>& options) {
  std::vector<std::string> names = NamesOf(options);
  for (const std::string& name : NamesOf(program.options)) {
    if (scope != "''") names.push_back(name);
  }
  return fmt::format("      {}) {} ;;\n", scope, Words(function, names));
}

// The words of the first argument that has some.
std::string ArgumentCase(const std::string& function, const CommandDocs& command) {
  for (const OptionDocs& argument : command.arguments) {
    if (SourceOf(argument) != ValueSource::kWords) continue;
    return fmt::format("    {}) {} ;;\n", command.name, Offer(function, argument));
  }
  return "";
}

// The first word that is neither an option nor the value of one.
std::string FindCommand(const CommandDocs& program) {
  const std::vector<std::string> with_value = NamesOf(program.options, /*with_value=*/true);
  std::string cases;
  if (!with_value.empty()) cases += fmt::format("      {}) ((i++)) ;;\n", Join(with_value, "|"));
  if (!program.commands.empty()) {
    cases += fmt::format("      {}) command=${{COMP_WORDS[i]}}; break ;;\n",
                         Join(NamesOf(program.commands), "|"));
  }
  return cases;
}

}  // namespace

std::string BashCompletion(const CommandDocs& program) {
  const std::string function = FunctionName(program.name);
  std::string values = ValueCases(function, "*", program.options);
  std::string options = OptionCase(function, program, "''", program.options);
  std::string arguments;
  if (!program.commands.empty()) {
    arguments = fmt::format("    '') {} ;;\n", Words(function, NamesOf(program.commands)));
  }
  for (const CommandDocs& command : program.commands) {
    values += ValueCases(function, command.name, command.options);
    options += OptionCase(function, program, command.name, command.options);
    arguments += ArgumentCase(function, command);
  }
  return fmt::format(kFrame, fmt::arg("program", program.name), fmt::arg("function", function),
                     fmt::arg("find_command", FindCommand(program)), fmt::arg("values", values),
                     fmt::arg("options", options), fmt::arg("arguments", arguments));
}

}  // namespace tconv::manual
