// The commands of the tool. Each function adds one to the parser and returns
// what to do when it was the one on the command line.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/cli/session.h"

namespace tconv::cli {

struct Command {
  CLI::App* parser = nullptr;
  std::function<absl::Status(Session&)> run = {};
};

// create_command.cc
Command AddCreate(CLI::App& app);

// layer_commands.cc
Command AddBuild(CLI::App& app);
Command AddGet(CLI::App& app);
Command AddList(CLI::App& app);
Command AddDelete(CLI::App& app);
Command AddHealth(CLI::App& app);

// inspect_command.cc
Command AddInspect(CLI::App& app);

// chain_commands.cc
Command AddCreateChain(CLI::App& app);
Command AddGetChain(CLI::App& app);
Command AddListChains(CLI::App& app);
Command AddDeleteChain(CLI::App& app);

// admin_commands.cc
Command AddLogLevel(CLI::App& app);

// tensor_commands.cc
Command AddSetWeights(CLI::App& app);
Command AddGetWeights(CLI::App& app);
Command AddForward(CLI::App& app);
Command AddOutputShape(CLI::App& app);

// import_command.cc
Command AddImport(CLI::App& app);

// export_command.cc
Command AddExport(CLI::App& app);

// training_commands.cc
Command AddBackward(CLI::App& app);
Command AddApplyGradients(CLI::App& app);
Command AddTrainStep(CLI::App& app);

// optimizer_commands.cc
Command AddSetTrainable(CLI::App& app);
Command AddSetOptimizer(CLI::App& app);
Command AddGetOptimizer(CLI::App& app);

// token_command.cc
Command AddToken(CLI::App& app);

// bench_command.cc
Command AddBench(CLI::App& app);

// completion_command.cc: of the whole tool, when all commands have been added
Command AddCompletion(CLI::App& app);

// demo_command.cc
Command AddDemo(CLI::App& app);

// Below, what several commands share.

// The positional name of what a command is about.
void AddName(CLI::App& parser, std::string& name,
             const std::string& description = "Name of the layer");
inline constexpr char kLayerOrChainHelp[] = "Name of the layer or the chain";

// An option that takes the path of a file.
CLI::Option* AddFile(CLI::App& parser, const std::string& flag, std::string& path,
                     const std::string& description);

// An option that takes a list of integers in one argument, "3,3"; "None" and
// "?" are -1.
CLI::Option* AddExtents(CLI::App& parser, const std::string& flag, Shape& extents,
                        const std::string& description);

// A name and arguments, "Adam epsilon=1e-8": their values are JSON. Throws a usage
// error, which names `flag`, for other texts.
v1::KerasObject ParseObject(const std::string& flag, const std::string& text);

// An option that takes one.
CLI::Option* AddObject(CLI::App& parser, const std::string& flag, v1::KerasObject& object,
                       const std::string& description);

inline constexpr char kInputShapeHelp[] =
    "Shape of inputs, batch first, in the data format: None,28,28,3; None where unknown";

// Throws a usage error when more than one of the paths is "-".
void RequireOneUserOfStandardStream(const std::vector<std::string>& paths);

}  // namespace tconv::cli
