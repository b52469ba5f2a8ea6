#include "manual/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>

namespace tconv::manual {
namespace {

// As text that roff takes literally.
std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    // Else a request, at the beginning of a line.
    if ((c == '.' || c == '\'') && (escaped.empty() || escaped.back() == '\n')) escaped += "\\&";
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Bold(const std::string& text) { return "\\fB" + Escape(text) + "\\fR"; }
std::string Italic(const std::string& text) { return "\\fI" + Escape(text) + "\\fR"; }

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// Without the newlines at its ends.
std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of('\n');
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of('\n') - first + 1);
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string Names(const OptionDocs& option) {
  std::string text;
  for (const std::string& name : option.names) text += (text.empty() ? "" : ", ") + Bold(name);
  return option.value.empty() ? text : text + " " + Italic(option.value);
}

std::string Notes(const OptionDocs& option) {
  std::vector<std::string> notes;
  if (option.is_required) notes.push_back("required");
  if (!option.initial.empty()) notes.push_back("default: " + Escape(option.initial));
  if (!option.variable.empty()) notes.push_back("environment: " + Bold(option.variable));
  return notes.empty() ? "" : fmt::format(" ({})", fmt::join(notes, "; "));
}

std::string Paragraph(const OptionDocs& option) {
  return fmt::format(".TP\n{}\n{}{}.\n", Names(option), Escape(option.description), Notes(option));
}

std::string Paragraphs(const std::vector<OptionDocs>& options) {
  std::string text;
  for (const OptionDocs& option : options) text += Paragraph(option);
  return text;
}

// "tconv get [OPTION]... name"
std::string Usage(const std::string& program, const CommandDocs& command) {
  std::string text = Bold(command.name == program ? program : program + " " + command.name);
  if (!command.options.empty()) text += " [" + Italic("OPTION") + "]...";
  for (const OptionDocs& argument : command.arguments) {
    const std::string name = Italic(argument.names.front()) + (argument.is_list ? "..." : "");
    text += argument.is_required ? " " + name : " [" + name + "]";
  }
  if (!command.commands.empty()) text += " " + Italic("COMMAND") + " ...";
  return text;
}

std::string Section(const std::string& title, const std::string& text) {
  return text.empty() ? "" : fmt::format(".SH {}\n{}", title, text);
}

std::string Commands(const CommandDocs& program) {
  std::string text;
  for (const CommandDocs& command : program.commands) {
    text += fmt::format(".SS {}\n{}\n.PP\n{}.\n", Escape(command.name),
                        Usage(program.name, command), Escape(command.description));
    text += Paragraphs(command.arguments) + Paragraphs(command.options);
  }
  return text;
}

// Lines stay as they are.
std::string Verbatim(const std::string& text) {
  return text.empty() ? "" : fmt::format(".nf\n{}\n.fi\n", Escape(text));
}

}  // namespace

std::string ManPage(const CommandDocs& program, const PageFacts& facts) {
  const std::string description = Trimmed(program.description);
  std::string summary = FirstLine(description);
  if (summary.ends_with('.')) summary.pop_back();
  std::string page = fmt::format(".TH {} {} {} \"tconv {}\"\n", Upper(program.name), facts.section,
                                 facts.date, facts.version);
  page += Section("NAME", fmt::format("{} \\- {}\n", program.name, Escape(summary)));
  page += Section("SYNOPSIS", Usage(program.name, program) + "\n");
  page += Section("OPTIONS", Paragraphs(program.options));
  page += Section("COMMANDS", Commands(program));
  page += Section("NOTES", Verbatim(Trimmed(program.footer)));
  page += Section("SEE ALSO", facts.see_also + "\n");
  return page;
}

}  // namespace tconv::manual
