// The manual page of a program and its completions, as files.
#pragma once

#include <CLI/CLI.hpp>

namespace tconv::manual {

// The main function of a program that writes them: its arguments are a folder, the section
// of the page, version, date, and another page to see. Writes NAME.SECTION, NAME.bash,
// _NAME for zsh and NAME.fish. Returns an exit code.
int WriteManual(const CLI::App& app, int argc, char** argv);

}  // namespace tconv::manual
