// The `tconv` tool without its main(): everything from arguments to exit code.
#pragma once

#include <tconv/connection.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/session.h"

namespace tconv::cli {

// Makes the connection that the arguments ask for.
using Connector =
    std::function<std::shared_ptr<Connection>(const std::string& target, const ClientOptions&)>;

// Runs the tool on `arguments`, which do not begin with the program's name, and
// returns its exit code.
int RunTool(const std::vector<std::string>& arguments, Streams streams,
            const Connector& connector = Connect);

}  // namespace tconv::cli
