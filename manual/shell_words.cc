#include "manual/shell_words.h"

#include <algorithm>

namespace tconv::manual {

ValueSource SourceOf(const OptionDocs& option) {
  if (!option.choices().empty()) return ValueSource::kWords;
  if (option.value == "FILE" || option.value == "PATH") return ValueSource::kFiles;
  if (option.value == "FOLDER") return ValueSource::kFolders;
  return ValueSource::kNothing;
}

std::string FunctionName(const std::string& program) {
  std::string name = "_" + program;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string WithBackslashes(const std::string& text, const std::string& characters) {
  std::string escaped;
  for (const char c : text) {
    if (characters.find(c) != std::string::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string Join(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::vector<std::string> NamesOf(const std::vector<OptionDocs>& options, bool with_value) {
  std::vector<std::string> names;
  for (const OptionDocs& option : options) {
    if (with_value && option.value.empty()) continue;
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::vector<std::string> NamesOf(const std::vector<CommandDocs>& commands) {
  std::vector<std::string> names;
  for (const CommandDocs& command : commands) names.push_back(command.name);
  return names;
}

}  // namespace tconv::manual
