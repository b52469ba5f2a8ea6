// Writes the manual page of tconv and its completions.
#include "client/cli/tool_parser.h"
#include "manual/manual_files.h"

int main(int argc, char** argv) {
  tconv::cli::ToolParser parser;
  return tconv::manual::WriteManual(parser.app(), argc, argv);
}
