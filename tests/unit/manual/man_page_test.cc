#include "manual/man_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manual/command_docs.h"

namespace tconv::manual {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CommandDocsTest, ReadsWhatAParserTakes) {
  CLI::App app("Does it.\n", "tool");
  app.footer("Mind.");
  std::string server = "here", name;
  std::vector<std::string> steps;
  bool loud = false;
  app.add_option("--server", server, "Whom to ask")->envname("SERVER")->capture_default_str();
  CLI::App* run = app.add_subcommand("run", "Run it");
  run->add_flag("-l,--loud", loud, "Tell all");
  run->add_option("name", name, "Of what")->required()->type_name("this|that");
  run->add_option("steps", steps, "Which");

  const CommandDocs docs = DocsOf(app);

  EXPECT_EQ(docs.name, "tool");
  EXPECT_EQ(docs.footer, "Mind.");
  ASSERT_EQ(docs.options.size(), 2u);
  EXPECT_THAT(docs.options[0].names, ElementsAre("-h", "--help"));
  EXPECT_EQ(docs.options[1].value, "TEXT");
  EXPECT_EQ(docs.options[1].initial, "here");
  EXPECT_EQ(docs.options[1].variable, "SERVER");
  ASSERT_EQ(docs.commands.size(), 1u);
  const CommandDocs& command = docs.commands[0];
  EXPECT_THAT(command.options[1].names, ElementsAre("-l", "--loud"));
  EXPECT_THAT(command.options[1].value, IsEmpty());
  EXPECT_THAT(command.options[1].choices(), IsEmpty());
  ASSERT_EQ(command.arguments.size(), 2u);
  EXPECT_THAT(command.arguments[0].names, ElementsAre("name"));
  EXPECT_THAT(command.arguments[0].choices(), ElementsAre("this", "that"));
  EXPECT_TRUE(command.arguments[0].is_required);
  EXPECT_FALSE(command.arguments[0].is_list);
  EXPECT_TRUE(command.arguments[1].is_list);
}

TEST(ManPageTest, HasTheSectionsOfAPage) {
  const CommandDocs docs{
      .name = "my-tool",
      .description = "Does it.\n",
      .options = {{.names = {"-v", "--verbose"}, .description = "Tell"},
                  {.names = {"--server"},
                   .value = "TEXT",
                   .description = "Whom to ask",
                   .initial = "here",
                   .variable = "MY_SERVER"}},
      .commands =
          {{.name = "run",
            .description = "Run it",
            .arguments = {{.names = {"name"}, .description = "Of what", .is_required = true},
                          {.names = {"steps"}, .description = "Which", .is_list = true}}}},
      .footer = "Mind\n.this\\ one.\n"};
  EXPECT_EQ(
      ManPage(docs,
              {.section = 1, .version = "1.2.3", .date = "2026-01-31", .see_also = "other(8)"}),
      R"(.TH MY-TOOL 1 2026-01-31 "tconv 1.2.3"
.SH NAME
my-tool \- Does it
.SH SYNOPSIS
\fBmy\-tool\fR [\fIOPTION\fR]... \fICOMMAND\fR ...
.SH OPTIONS
.TP
\fB\-v\fR, \fB\-\-verbose\fR
Tell.
.TP
\fB\-\-server\fR \fITEXT\fR
Whom to ask (default: here; environment: \fBMY_SERVER\fR).
.SH COMMANDS
.SS run
\fBmy\-tool run\fR \fIname\fR [\fIsteps\fR...]
.PP
Run it.
.TP
\fBname\fR
Of what (required).
.TP
\fBsteps\fR
Which.
.SH NOTES
.nf
Mind
\&.this\e one.
.fi
.SH SEE ALSO
other(8)
)");
}

}  // namespace
}  // namespace tconv::manual
