// The manual pages and completions of the programs that there are: they say everything, and
// those whom they are for accept them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "client/cli/tool_parser.h"
#include "manual/completion.h"
#include "manual/man_page.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/manual/shell.h"
#ifdef TCONV_HAS_SERVER
#include "server/app/parser.h"
#endif

namespace tconv::manual {
namespace {

using tconv::testing::OutputOf;
using tconv::testing::TempFolder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

CommandDocs ToolDocs() {
  cli::ToolParser parser;
  return DocsOf(parser.app());
}

#ifdef TCONV_HAS_SERVER
CommandDocs ServerDocs() {
  server::ServerOptions options;
  CLI::App app;
  server::AddOptions(app, options);
  return DocsOf(app);
}
#endif

struct Program {
  std::string name;
  CommandDocs (*docs)();
};

void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

class ProgramsTest : public ::testing::TestWithParam<Program> {
 protected:
  std::string Page() const {
    return ManPage(docs_, {.version = "1.2.3", .date = "2026-01-31", .see_also = "other(8)"});
  }
  std::string FileOf(const std::string& text) const {
    std::ofstream(folder_ / "file", std::ios::binary) << text;
    return folder_ / "file";
  }

  const CommandDocs docs_ = GetParam().docs();
  const TempFolder folder_;
};

// Of the program and all its commands.
std::vector<OptionDocs> AllOptions(const CommandDocs& docs) {
  std::vector<OptionDocs> options = docs.options;
  for (const CommandDocs& command : docs.commands) {
    options.insert(options.end(), command.options.begin(), command.options.end());
  }
  return options;
}

std::string InRoff(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '-' ? std::string("\\-") : std::string(1, c);
  return escaped;
}

TEST_P(ProgramsTest, HasDocsOfWhatItTakes) {
  EXPECT_EQ(docs_.name, GetParam().name);
  EXPECT_GT(AllOptions(docs_).size(), 20u);
}

TEST_P(ProgramsTest, TellsEveryCommandAndOptionInItsPage) {
  const std::string page = Page();
  for (const OptionDocs& option : AllOptions(docs_)) {
    for (const std::string& name : option.names) EXPECT_THAT(page, HasSubstr(InRoff(name)));
    EXPECT_FALSE(option.description.empty()) << option.names.front();
  }
  for (const CommandDocs& command : docs_.commands) {
    EXPECT_THAT(page, HasSubstr(".SS " + InRoff(command.name) + "\n"));
  }
}

TEST_P(ProgramsTest, HasAPageThatManAccepts) {
  const std::string file = FileOf(Page());
  EXPECT_THAT(OutputOf({"mandoc", "-Tlint", "-Wwarning", file}), IsEmpty());
  const std::string shown = OutputOf({"mandoc", "-Tascii", "-Owidth=500", file});
  EXPECT_THAT(shown, HasSubstr("other(8)"));
  EXPECT_THAT(shown, HasSubstr("tconv 1.2.3"));
}

TEST_P(ProgramsTest, NamesEveryCommandAndOptionInItsCompletions) {
  const std::string bash = BashCompletion(docs_);
  const std::string fish = FishCompletion(docs_);
  const std::string zsh = ZshCompletion(docs_);
  for (const OptionDocs& option : AllOptions(docs_)) {
    for (const std::string& name : option.names) {
      EXPECT_THAT(bash, HasSubstr(name));
      EXPECT_THAT(zsh, HasSubstr("'" + name + "["));
      const bool is_long = name.starts_with("--");
      EXPECT_THAT(fish, HasSubstr(is_long ? " -l " + name.substr(2) : " -s " + name.substr(1)));
    }
  }
  for (const CommandDocs& command : docs_.commands) {
    EXPECT_THAT(bash, HasSubstr("    " + command.name + ") "));
    EXPECT_THAT(fish, HasSubstr("-n __fish_use_subcommand -a " + command.name + " "));
    EXPECT_THAT(zsh, HasSubstr("    '" + command.name + ":"));
  }
}

TEST_P(ProgramsTest, HasCompletionsThatTheirShellsCanRead) {
  OutputOf({"bash", "-n", FileOf(BashCompletion(docs_))});
  OutputOf({"fish", "-n", FileOf(FishCompletion(docs_))});
  OutputOf({"zsh", "-n", FileOf(ZshCompletion(docs_))});
}

const Program kPrograms[] = {
    {"tconv", ToolDocs},
#ifdef TCONV_HAS_SERVER
    {"tconv-server", ServerDocs},
#endif
};
INSTANTIATE_TEST_SUITE_P(, ProgramsTest, ::testing::ValuesIn(kPrograms), [](const auto& program) {
  return program.index == 0 ? "Tool" : "Server";
});

}  // namespace
}  // namespace tconv::manual
