// Shells that complete arguments, each with the script for it.
#include "manual/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/temp_folder.h"
#include "tests/unit/manual/shell.h"

namespace tconv::manual {
namespace {

using tconv::testing::OutputOf;
using tconv::testing::TempFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

using Words = std::vector<std::string>;

// A tool with two commands, of which one is called like a value might be.
CommandDocs Tool() {
  return {.name = "my-tool",
          .description = "Does it.",
          .options = {{.names = {"-h", "--help"}, .description = "Tell"},
                      {.names = {"--server"}, .value = "TEXT", .description = "Who [is] it: what"}},
          .commands = {{.name = "draw",
                        .description = "Draw it's shape",
                        .options = {{.names = {"--how"}, .value = "large|small"},
                                    {.names = {"--file"}, .value = "FILE"},
                                    {.names = {"--into"}, .value = "FOLDER"}}},
                       {.name = "choose",
                        .description = "Choose",
                        .arguments = {{.names = {"what"}, .value = "this|that"}}}}};
}

Words Lines(const std::string& text) {
  Words lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    // fish puts descriptions behind a tab.
    if (!line.empty()) lines.push_back(line.substr(0, line.find('\t')));
  }
  return lines;
}

class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() {
    std::ofstream(folder_ / "my-tool.bash") << BashCompletion(Tool());
    std::ofstream(folder_ / "my-tool.fish") << FishCompletion(Tool());
    std::ofstream(folder_ / "a picture.png");
    std::filesystem::create_directory(folder_ / "a folder");
  }

  // What bash offers for the last of the arguments.
  Words Bash(const Words& arguments) const {
    Words words = {"bash",
                   "-c",
                   "cd \"$1\"; source ./my-tool.bash; shift; COMP_WORDS=(\"$@\"); "
                   "COMP_CWORD=$(($# - 1)); _my_tool; printf '%s\\n' \"${COMPREPLY[@]}\"",
                   "bash",
                   folder_ / "",
                   "my-tool"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return Lines(OutputOf(words));
  }
  Words Fish(const std::string& line) const {
    return Lines(
        OutputOf({"fish", "--no-config", "-c",
                  "cd $argv[1]; source my-tool.fish; complete -C $argv[2]", folder_ / "", line}));
  }

  const TempFolder folder_;
};

TEST_F(CompletionTest, BashOffersCommands) {
  EXPECT_THAT(Bash({""}), UnorderedElementsAre("draw", "choose"));
  EXPECT_THAT(Bash({"dr"}), ElementsAre("draw"));
  EXPECT_THAT(Bash({"--server", "choose", "d"}), ElementsAre("draw"));
}

TEST_F(CompletionTest, BashOffersTheOptionsOfACommandAndThoseOfAll) {
  EXPECT_THAT(Bash({"draw", "--"}),
              UnorderedElementsAre("--how", "--file", "--into", "--help", "--server"));
  EXPECT_THAT(Bash({"--"}), UnorderedElementsAre("--help", "--server"));
  EXPECT_THAT(Bash({"choose", "--ho"}), IsEmpty());
}

TEST_F(CompletionTest, BashOffersValues) {
  EXPECT_THAT(Bash({"draw", "--how", ""}), ElementsAre("large", "small"));
  EXPECT_THAT(Bash({"choose", "tha"}), ElementsAre("that"));
  EXPECT_THAT(Bash({"draw", "--file", "a p"}), ElementsAre("a picture.png"));
  EXPECT_THAT(Bash({"draw", "--into", "a"}), ElementsAre("a folder"));
  EXPECT_THAT(Bash({"draw", "--server", ""}), IsEmpty());
}

TEST_F(CompletionTest, FishOffersTheSame) {
  EXPECT_THAT(Fish("my-tool "), UnorderedElementsAre("draw", "choose"));
  EXPECT_THAT(Fish("my-tool draw --"), Contains("--how"));
  EXPECT_THAT(Fish("my-tool choose --"), Not(Contains("--how")));
  EXPECT_THAT(Fish("my-tool draw --how "), UnorderedElementsAre("large", "small"));
  EXPECT_THAT(Fish("my-tool choose th"), UnorderedElementsAre("this", "that"));
  EXPECT_THAT(Fish("my-tool draw --into a"), Contains(::testing::HasSubstr("a folder")));
}

}  // namespace
}  // namespace tconv::manual
