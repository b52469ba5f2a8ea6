// The form that all options of the command line have.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

namespace tconv::server {

// Adds options in groups. Each may also come from the environment: --max-layers
// is TCONV_MAX_LAYERS. The default of an option is what its variable holds.
class OptionAdder {
 public:
  // `app` must outlive this.
  explicit OptionAdder(CLI::App& app);

  void BeginGroup(std::string name) { group_ = std::move(name); }

  template <typename T>
  CLI::Option* Add(const std::string& name, T& value, const std::string& help) {
    return Placed(app_.add_option("--" + name, value, help), name)->capture_default_str();
  }

  // A word of a few.
  template <typename T>
  void AddChoice(const std::string& name, T& value, const std::map<std::string, T>& words,
                 const std::string& help) {
    std::string given, kind;
    for (const auto& [word, meaning] : words) {
      if (meaning == value) given = word;
      kind += (kind.empty() ? "" : "|") + word;
    }
    Placed(app_.add_option_function<std::string>(
               "--" + name, [&value, words](const std::string& word) { value = words.at(word); },
               help),
           name)
        ->check(CLI::IsMember(words).description(""))
        ->type_name(kind)
        ->default_str(given);
  }

  template <typename T>
  CLI::Option* AddNumber(const std::string& name, T& value, int64_t least, int64_t most,
                         const std::string& help) {
    return Add(name, value, help)
        ->check(CLI::Range(least, most).description(""))
        ->type_name("NUMBER");
  }

  // Yes when it is given, or when its variable is "true".
  void AddFlag(const std::string& name, bool& value, const std::string& help) {
    Placed(app_.add_flag("--" + name, value, help), name);
  }

  // A number of the units of `value`, which the name of the option tells.
  template <typename Rep, typename Period>
  void AddTime(const std::string& name, std::chrono::duration<Rep, Period>& value, int64_t least,
               int64_t most, const std::string& help) {
    const auto set = [&value](const int64_t& count) {
      value = std::chrono::duration<Rep, Period>(count);
    };
    Placed(app_.add_option_function<int64_t>("--" + name, set, help), name)
        ->check(CLI::Range(least, most).description(""))
        ->type_name("NUMBER")
        ->default_str(std::to_string(value.count()));
  }

  // Bytes, with a suffix K, M, G or T if wanted.
  void AddSize(const std::string& name, int64_t& value, int64_t least, int64_t most,
               const std::string& help);

 private:
  CLI::Option* Placed(CLI::Option* option, const std::string& name) const;

  CLI::App& app_;
  std::string group_;
};

// CLI11 passes over a value in the environment that fails its check, from 2.4 on.
// Throws CLI::ValidationError for such a one.
void RefuseIgnoredEnvironment(const CLI::App& app);

}  // namespace tconv::server
