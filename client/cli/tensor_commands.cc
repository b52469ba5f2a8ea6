#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "client/cli/command.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"

namespace tconv::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

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

std::string Describe(const Tensor& tensor) {
  return fmt::format("{} {}", DataTypeName(tensor.dtype()), ToString(tensor.shape()));
}

// A shape as Keras writes it, with None for an unknown extent.
std::string FormatKerasShape(const Shape& shape) {
  std::vector<std::string> extents;
  for (const int64_t extent : shape) {
    extents.push_back(extent < 0 ? "None" : std::to_string(extent));
  }
  return fmt::format("({})", fmt::join(extents, ", "));
}

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
  const Tensor& kernel = answer.weights.kernel;
  const std::optional<Tensor>& bias = answer.weights.bias;
  if (!flags.bias_path.empty() && !bias) {
    return absl::FailedPreconditionError(
        fmt::format("--bias: the layer \"{}\" does not use a bias", flags.name));
  }
  TCONV_CLI_RETURN_IF_ERROR(session.WriteTensor(flags.kernel_path, kernel));
  if (!flags.bias_path.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(session.WriteTensor(flags.bias_path, *bias));
  }
  session.Report({{"name", flags.name},
                  {"weights_version", answer.version},
                  {"kernel", DescribeTensor(kernel)},
                  {"bias", bias ? DescribeTensor(*bias) : Json()}},
                 FormatTable({{"kernel", Describe(kernel)},
                              {"bias", bias ? Describe(*bias) : "none"},
                              {"weights version", std::to_string(answer.version)}}),
                 flags.kernel_path == "-" ? flags.kernel_path : flags.bias_path);
  return absl::OkStatus();
}

std::string SourceOf(const v1::Loss& loss) {
  switch (loss.source()) {
    case v1::LOSS_SOURCE_ACTIVITY:
      return "activity";
    case v1::LOSS_SOURCE_KERNEL:
      return "kernel";
    case v1::LOSS_SOURCE_BIAS:
      return "bias";
    default:
      return "unknown";
  }
}

void ReportForward(const ForwardFlags& flags, const ForwardResult& result, double seconds,
                   Session& session) {
  Json losses = Json::array();
  Rows rows = {{"output", Describe(result.output)},
               {"weights version", std::to_string(result.weights_version)},
               {"time", fmt::format("{:.1f} ms", 1000 * seconds)}};
  for (const v1::Loss& loss : result.losses) {
    losses.push_back({{"source", SourceOf(loss)}, {"value", loss.value()}});
    rows.push_back({SourceOf(loss) + " loss", fmt::format("{}", loss.value())});
  }
  session.Report({{"name", flags.name},
                  {"output", DescribeTensor(result.output)},
                  {"weights_version", result.weights_version},
                  {"losses", flags.losses ? std::move(losses) : Json()},
                  {"seconds", seconds}},
                 FormatTable(rows), flags.output_path);
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
  CLI::App* parser = app.add_subcommand("forward", "Compute the output of a layer");
  AddName(*parser, flags->name);
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
  AddName(*parser, flags->name);
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
