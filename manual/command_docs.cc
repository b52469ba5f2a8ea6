#include "manual/command_docs.h"

#include <sstream>

namespace tconv::manual {
namespace {

OptionDocs DocsOf(const CLI::Option& option) {
  OptionDocs docs{.description = option.get_description(),
                  .initial = option.get_default_str(),
                  .variable = option.get_envname(),
                  .is_required = option.get_required(),
                  .is_list = option.get_items_expected_max() > 1};
  for (const std::string& name : option.get_snames()) docs.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) docs.names.push_back("--" + name);
  if (option.get_positional()) docs.names.push_back(option.get_name(true));
  if (option.get_type_size() != 0) docs.value = option.get_type_name();
  return docs;
}

}  // namespace

std::vector<std::string> OptionDocs::choices() const {
  std::vector<std::string> words;
  if (value.find('|') == std::string::npos) return words;
  std::istringstream text(value);
  for (std::string word; std::getline(text, word, '|');) words.push_back(word);
  return words;
}

CommandDocs DocsOf(const CLI::App& app) {
  CommandDocs docs{
      .name = app.get_name(), .description = app.get_description(), .footer = app.get_footer()};
  for (const CLI::Option* option : app.get_options()) {
    (option->get_positional() ? docs.arguments : docs.options).push_back(DocsOf(*option));
  }
  // The filter asks for all of them, and not for those that were on a command line.
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    docs.commands.push_back(DocsOf(*command));
  }
  return docs;
}

}  // namespace tconv::manual
