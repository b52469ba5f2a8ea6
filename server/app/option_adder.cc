#include "server/app/option_adder.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace tconv::server {
namespace {

std::string EnvironmentName(std::string option) {
  for (char& c : option) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return "TCONV_" + option;
}

std::string SizeText(int64_t bytes) {
  constexpr std::string_view kSuffixes = "KMGT";
  std::string suffix;
  for (const char next : kSuffixes) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    suffix = next;
  }
  return std::to_string(bytes) + suffix;
}

// One line for each option: its name, the kind of its value, [the default].
class OneLineFormatter : public CLI::Formatter {
 public:
  OneLineFormatter() { column_width(42); }

  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = " " + option->get_type_name();
    if (!option->get_default_str().empty()) text += " [" + option->get_default_str() + "]";
    return text;
  }
};

}  // namespace

OptionAdder::OptionAdder(CLI::App& app) : app_(app) {
  app.formatter(std::make_shared<OneLineFormatter>());
}

CLI::Option* OptionAdder::Placed(CLI::Option* option, const std::string& name) const {
  return option->envname(EnvironmentName(name))->group(group_);
}

void OptionAdder::AddSize(const std::string& name, int64_t& value, int64_t least, int64_t most,
                          const std::string& help) {
  Add(name, value, help)
      ->transform(CLI::AsSizeValue(false).description(""))
      ->check(CLI::Range(least, most).description(""))
      ->type_name("SIZE")
      ->default_str(SizeText(value));
}

void RefuseIgnoredEnvironment(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string variable = option->get_envname();
    const char* value = variable.empty() ? nullptr : std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0' || option->count() > 0) continue;
    throw CLI::ValidationError(option->get_name(),
                               fmt::format("{} has the wrong value \"{}\"", variable, value));
  }
}

}  // namespace tconv::server
