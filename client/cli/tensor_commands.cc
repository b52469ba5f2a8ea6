#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "client/cli/command.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "client/cli/value_text.h"

namespace tconv::cli {
namespace {

struct WeightFlags {
  std::string name;
  std::string kernel_path, bias_path;
  std::optional<int64_t> if_version;
};

struct ForwardFlags {
  std::string name;
  std::string input_path, output_path;
  bool losses = false;
  int64_t min_version = 0;
};

absl::Status SetWeights(const WeightFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(Weights weights,
                             session.ReadWeights(flags.kernel_path, flags.bias_path));
  TCONV_CLI_ASSIGN_OR_RETURN(const int64_t version, session.Await("setting the weights", [&] {
    return session.client().SetWeights(flags.name, std::move(weights), flags.if_version);
  }));
  session.Report({{"name", flags.name}, {"weights_version", version}},
                 fmt::format("weights of {} are at version {}\n", flags.name, version));
  return absl::OkStatus();
}

absl::Status GetWeights(const WeightFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const VersionedWeights answer,
                             session.Await("getting the weights", [&] {
                               return session.client().GetWeights(flags.name);
                             }));
  TCONV_CLI_RETURN_IF_ERROR(
      session.WriteWeights(flags.kernel_path, flags.bias_path, answer.weights));
  Json json = {{"name", flags.name}, {"weights_version", answer.version}};
  json.update(DescribeWeights(answer.weights));
  Rows rows = WeightRows(answer.weights);
  rows.push_back({"weights version", std::to_string(answer.version)});
  session.Report(json, FormatTable(rows), {flags.kernel_path, flags.bias_path});
  return absl::OkStatus();
}

void ReportForward(const ForwardFlags& flags, const ForwardResult& result, double seconds,
                   Session& session) {
  Rows rows = {{"output", FormatTensor(result.output)},
               {"weights version", std::to_string(result.weights_version)},
               {"time", fmt::format("{:.1f} ms", 1000 * seconds)}};
  Append(LossRows(result.losses), rows);
  session.Report({{"name", flags.name},
                  {"output", DescribeTensor(result.output)},
                  {"weights_version", result.weights_version},
                  {"losses", flags.losses ? LossesToJson(result.losses) : Json()},
                  {"seconds", seconds}},
                 FormatTable(rows), {flags.output_path});
}

absl::Status Forward(const ForwardFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Tensor input, session.ReadTensor(flags.input_path));
  const auto start = std::chrono::steady_clock::now();
  TCONV_CLI_ASSIGN_OR_RETURN(
      const ForwardResult result, session.Await("waiting for the output", [&] {
        return session.client().Forward(
            flags.name, input, {.compute_losses = flags.losses, .min_version = flags.min_version});
      }));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  TCONV_CLI_RETURN_IF_ERROR(session.WriteTensor(flags.output_path, result.output));
  ReportForward(flags, result, elapsed.count(), session);
  return absl::OkStatus();
}

}  // namespace

Command AddSetWeights(CLI::App& app) {
  auto flags = std::make_shared<WeightFlags>();
  CLI::App* parser = app.add_subcommand("set-weights", "Replace the weights of a layer");
  AddName(*parser, flags->name);
  AddFile(*parser, "--kernel", flags->kernel_path, "Kernel: [spatial..., filters, channels]")
      ->required();
  AddFile(*parser, "--bias", flags->bias_path, "Bias: [filters]");
  parser->add_option("--if-version", flags->if_version, "Only if the weights are at this version");
  parser->callback([flags = flags.get()] {
    RequireOneUserOfStandardStream({flags->kernel_path, flags->bias_path});
  });
  return {parser, [flags](Session& session) { return SetWeights(*flags, session); }};
}

Command AddGetWeights(CLI::App& app) {
  auto flags = std::make_shared<WeightFlags>();
  CLI::App* parser = app.add_subcommand("get-weights", "Write the weights of a layer to files");
  AddName(*parser, flags->name);
  AddFile(*parser, "--kernel", flags->kernel_path, "Where to write the kernel")->required();
  AddFile(*parser, "--bias", flags->bias_path, "Where to write the bias (default: nowhere)");
  parser->callback([flags = flags.get()] {
    RequireOneUserOfStandardStream({flags->kernel_path, flags->bias_path});
  });
  return {parser, [flags](Session& session) { return GetWeights(*flags, session); }};
}

Command AddForward(CLI::App& app) {
  auto flags = std::make_shared<ForwardFlags>();
  CLI::App* parser = app.add_subcommand("forward", "Compute the output of a layer or a chain");
  AddName(*parser, flags->name, kLayerOrChainHelp);
  AddFile(*parser, "--input", flags->input_path, "Input, batch first")->required();
  AddFile(*parser, "--output", flags->output_path, "Where to write the output")->required();
  parser->add_flag("--losses", flags->losses, "Evaluate the regularizers");
  parser->add_option("--min-version", flags->min_version, "The least version of the weights");
  return {parser, [flags](Session& session) { return Forward(*flags, session); }};
}

Command AddOutputShape(CLI::App& app) {
  struct Flags {
    std::string name;
    Shape input_shape;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* parser =
      app.add_subcommand("output-shape", "Tell the shape of an output without computing it");
  AddName(*parser, flags->name, kLayerOrChainHelp);
  AddExtents(*parser, "--input-shape", flags->input_shape, kInputShapeHelp)->required();
  return {parser, [flags](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const Shape shape, session.client().ComputeOutputShape(
                                                              flags->name, flags->input_shape));
            session.Report({{"name", flags->name}, {"output_shape", shape}},
                           FormatKerasShape(shape) + "\n");
            return absl::OkStatus();
          }};
}

}  // namespace tconv::cli
