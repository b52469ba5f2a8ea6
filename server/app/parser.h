// The command line of the server, for those who describe it.
#pragma once

#include <CLI/CLI.hpp>

#include "server/app/options.h"

namespace tconv::server {

// Makes `app` the parser of tconv-server, whose values go to `options`. That outlives it.
void AddOptions(CLI::App& app, ServerOptions& options);

}  // namespace tconv::server
