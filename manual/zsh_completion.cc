#include <fmt/format.h>

#include "manual/completion.h"
#include "manual/shell_words.h"

namespace tconv::manual {
namespace {

// In single quotes.
std::string Quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string Action(const OptionDocs& option) {
  switch (SourceOf(option)) {
    case ValueSource::kWords:
      return "(" + Join(option.choices(), " ") + ")";
    case ValueSource::kFiles:
      return "_files";
    case ValueSource::kFolders:
      return "_files -/";
    case ValueSource::kNothing:
      break;
  }
  return "";
}

// As _arguments takes them, one a line.
std::string Specifications(const std::vector<OptionDocs>& options, const std::string& indent) {
  std::string text;
  for (const OptionDocs& option : options) {
    for (const std::string& name : option.names) {
      std::string specification =
          fmt::format("{}[{}]", name, WithBackslashes(option.description, "\\[]:"));
      if (!option.value.empty()) {
        specification +=
            fmt::format(":{}:{}", WithBackslashes(option.value, "\\:"), Action(option));
      }
      text += fmt::format("{}{} \\\n", indent, Quote(specification));
    }
  }
  return text;
}

std::string Arguments(const std::vector<OptionDocs>& arguments, const std::string& indent) {
  std::string text;
  for (const OptionDocs& argument : arguments) {
    text += fmt::format("{}{} \\\n", indent,
                        Quote(fmt::format("{}:{}:{}", argument.is_list ? "*" : "",
                                          argument.names.front(), Action(argument))));
  }
  return text;
}

std::string Descriptions(const CommandDocs& program) {
  std::string text;
  for (const CommandDocs& command : program.commands) {
    text += fmt::format("    {}\n",
                        Quote(command.name + ":" + WithBackslashes(command.description, "\\:")));
  }
  return text;
}

std::string CommandCases(const CommandDocs& program) {
  std::string cases;
  for (const CommandDocs& command : program.commands) {
    cases += fmt::format(
        "        {})\n          _arguments \\\n{}{}{}            && return\n"
        "          ;;\n",
        command.name, Specifications(command.options, "            "),
        Specifications(program.options, "            "),
        Arguments(command.arguments, "            "));
  }
  return cases;
}

constexpr char kFrameWithCommands[] = R"(#compdef {program}
# Completion of {program} for zsh.
{function}() {{
  local curcontext=$curcontext state
  local -a commands=(
{descriptions}  )
  _arguments -C \
{options}    '1:command:->command' \
    '*::argument:->argument' && return
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
{cases}      esac
      ;;
  esac
}}
{function} "$@"
)";

constexpr char kFrame[] = R"(#compdef {program}
# Completion of {program} for zsh.
{function}() {{
  _arguments \
{options}    && return
}}
{function} "$@"
)";

}  // namespace

std::string ZshCompletion(const CommandDocs& program) {
  const std::string options = Specifications(program.options, "    ");
  if (program.commands.empty()) {
    return fmt::format(kFrame, fmt::arg("program", program.name),
                       fmt::arg("function", FunctionName(program.name)),
                       fmt::arg("options", options));
  }
  return fmt::format(kFrameWithCommands, fmt::arg("program", program.name),
                     fmt::arg("function", FunctionName(program.name)),
                     fmt::arg("descriptions", Descriptions(program)), fmt::arg("options", options),
                     fmt::arg("cases", CommandCases(program)));
}

}  // namespace tconv::manual
