// Scripts with which shells complete the arguments of a program.
#pragma once

#include <string>

#include "manual/command_docs.h"

namespace tconv::manual {

// To be sourced, or put where the shell looks for the completion of the program.
std::string BashCompletion(const CommandDocs& program);
std::string ZshCompletion(const CommandDocs& program);
std::string FishCompletion(const CommandDocs& program);

}  // namespace tconv::manual
