// Writes the manual page of tconv-server and its completions.
#include "manual/manual_files.h"
#include "server/app/parser.h"

int main(int argc, char** argv) {
  tconv::server::ServerOptions options;
  CLI::App app;
  tconv::server::AddOptions(app, options);
  return tconv::manual::WriteManual(app, argc, argv);
}
