// How the tool tells scripts what happened.
#pragma once

#include <absl/status/status.h>

namespace tconv::cli {

// See kExitCodeHelp.
int ExitCode(const absl::Status& status);

inline constexpr int kUsageExitCode = 2;

inline constexpr char kExitCodeHelp[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  any other failure, such as a file that cannot be written\n"
    "  2  wrong usage of this tool\n"
    "  3  invalid argument: refused by the server, or an input file that is not valid\n"
    "  4  no such layer, chain or service\n"
    "  5  the server cannot be reached, is shutting down, or the deadline passed\n"
    "  6  conflict: the name is taken, the version moved, the layer is not built,\n"
    "     has no optimizer, is frozen, or is a step of a chain\n"
    "  7  over a limit of the server or of a message\n"
    "  8  the token is missing, unknown, or not good for this\n";

}  // namespace tconv::cli
