// What the completions for all shells have in common.
#pragma once

#include <string>
#include <vector>

#include "manual/command_docs.h"

namespace tconv::manual {

// What a value is completed from.
enum class ValueSource { kNothing, kWords, kFiles, kFolders };
ValueSource SourceOf(const OptionDocs& option);

// The name of the shell's function: "_tconv_server" for tconv-server.
std::string FunctionName(const std::string& program);

// `text` with a backslash before each of these characters.
std::string WithBackslashes(const std::string& text, const std::string& characters);

// The words with something in between.
std::string Join(const std::vector<std::string>& words, const std::string& separator);

// Of all options; those that take a value, when that is asked for.
std::vector<std::string> NamesOf(const std::vector<OptionDocs>& options, bool with_value = false);

std::vector<std::string> NamesOf(const std::vector<CommandDocs>& commands);

}  // namespace tconv::manual
