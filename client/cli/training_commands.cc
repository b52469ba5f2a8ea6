#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "client/cli/command.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "client/cli/value_text.h"

namespace tconv::cli {
namespace {

struct BackwardFlags {
  std::string name;
  std::string input_path, upstream_path;
  std::string input_gradient_path, kernel_gradient_path, bias_gradient_path;
  bool losses = false;
  int64_t min_version = 0;

  bool WantsWeightGradients() const { return !(kernel_gradient_path + bias_gradient_path).empty(); }
};

// What both kinds of steps take.
struct StepFlags {
  std::optional<int64_t> if_version;
  std::optional<double> learning_rate;
  std::string step_id;
};

struct ApplyGradientsFlags {
  std::string name;
  std::string kernel_path, bias_path;
  StepFlags step;
};

struct TrainStepFlags {
  std::string name;
  std::string input_path, target_path, upstream_path, output_path, input_gradient_path;
  v1::KerasObject loss;
  StepFlags step;
};

constexpr char kMeanSquaredError[] = "MeanSquaredError";

void AddStep(CLI::App& parser, StepFlags& step) {
  parser.add_option("--if-version", step.if_version, "Only if the weights are at this version");
  parser.add_option("--learning-rate", step.learning_rate, "For this step alone");
  parser.add_option("--step-id", step.step_id,
                    "Name of the step, which is made once however often it is asked for");
}

Json StepToJson(const std::string& name, const StepResult& step) {
  return {{"name", name},
          {"weights_version", step.weights_version},
          {"iterations", step.iterations},
          {"already_applied", step.already_applied}};
}

Rows StepRows(const StepResult& step) {
  return {{"weights version", std::to_string(step.weights_version)},
          {"steps", fmt::format("{}{}", step.iterations,
                                step.already_applied ? ", this one had been made before" : "")}};
}

void ReportBackward(const BackwardFlags& flags, const BackwardResult& result, Session& session) {
  Rows rows;
  if (result.input_gradient) rows = {{"input gradient", FormatTensor(*result.input_gradient)}};
  if (result.weight_gradients) Append(WeightRows(*result.weight_gradients, "gradient of "), rows);
  rows.push_back({"weights version", std::to_string(result.weights_version)});
  Append(LossRows(result.losses), rows);
  session.Report(
      {{"name", flags.name},
       {"input_gradient", result.input_gradient ? DescribeTensor(*result.input_gradient) : Json()},
       {"weight_gradients",
        result.weight_gradients ? DescribeWeights(*result.weight_gradients) : Json()},
       {"weights_version", result.weights_version},
       {"losses", flags.losses ? LossesToJson(result.losses) : Json()}},
      FormatTable(rows),
      {flags.input_gradient_path, flags.kernel_gradient_path, flags.bias_gradient_path});
}

absl::Status Backward(const BackwardFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Tensor input, session.ReadTensor(flags.input_path));
  TCONV_CLI_ASSIGN_OR_RETURN(const Tensor upstream, session.ReadTensor(flags.upstream_path));
  const BackwardOptions options{.include_losses = flags.losses,
                                .min_version = flags.min_version,
                                .skip_input_gradient = flags.input_gradient_path.empty(),
                                .skip_weight_gradients = !flags.WantsWeightGradients()};
  TCONV_CLI_ASSIGN_OR_RETURN(
      const BackwardResult result, session.Await("waiting for the gradients", [&] {
        return session.client().Backward(flags.name, input, upstream, options);
      }));
  if (result.weight_gradients) {
    TCONV_CLI_RETURN_IF_ERROR(session.WriteWeights(
        flags.kernel_gradient_path, flags.bias_gradient_path, *result.weight_gradients));
  }
  if (result.input_gradient) {
    TCONV_CLI_RETURN_IF_ERROR(
        session.WriteTensor(flags.input_gradient_path, *result.input_gradient));
  }
  ReportBackward(flags, result, session);
  return absl::OkStatus();
}

absl::Status ApplyGradients(const ApplyGradientsFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Weights gradients,
                             session.ReadWeights(flags.kernel_path, flags.bias_path));
  const StepOptions options{.if_version = flags.step.if_version,
                            .learning_rate = flags.step.learning_rate,
                            .step_id = flags.step.step_id};
  TCONV_CLI_ASSIGN_OR_RETURN(const StepResult step, session.Await("making the step", [&] {
    return session.client().ApplyGradients(flags.name, gradients, options);
  }));
  session.Report(StepToJson(flags.name, step), FormatTable(StepRows(step)));
  return absl::OkStatus();
}

absl::StatusOr<TrainSignal> ReadSignal(const TrainStepFlags& flags, Session& session) {
  if (flags.target_path.empty()) {
    TCONV_CLI_ASSIGN_OR_RETURN(Tensor gradient, session.ReadTensor(flags.upstream_path));
    return Upstream{std::move(gradient)};
  }
  TCONV_CLI_ASSIGN_OR_RETURN(Tensor target, session.ReadTensor(flags.target_path));
  return TrainTarget{.target = std::move(target), .loss = flags.loss};
}

void ReportTrainStep(const TrainStepFlags& flags, const TrainStepResult& result, Session& session) {
  Json json = StepToJson(flags.name, result.step);
  json["loss"] = result.loss ? Json(*result.loss) : Json();
  json["losses"] = LossesToJson(result.losses);
  Rows rows = StepRows(result.step);
  if (result.loss) rows.push_back({"loss before it", fmt::format("{}", *result.loss)});
  Append(LossRows(result.losses), rows);
  session.Report(json, FormatTable(rows), {flags.output_path, flags.input_gradient_path});
}

// A step that had been made before comes without its tensors.
absl::Status WriteIfAsked(const std::string& path, const std::optional<Tensor>& tensor,
                          Session& session) {
  if (path.empty()) return absl::OkStatus();
  if (tensor) return session.WriteTensor(path, *tensor);
  return absl::FailedPreconditionError(
      fmt::format("{}: the step had been made before, and the server has not kept this", path));
}

absl::Status TrainStep(const TrainStepFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Tensor input, session.ReadTensor(flags.input_path));
  TCONV_CLI_ASSIGN_OR_RETURN(const TrainSignal signal, ReadSignal(flags, session));
  const TrainStepOptions options{.if_version = flags.step.if_version,
                                 .learning_rate = flags.step.learning_rate,
                                 .step_id = flags.step.step_id,
                                 .return_output = !flags.output_path.empty(),
                                 .return_input_gradient = !flags.input_gradient_path.empty()};
  TCONV_CLI_ASSIGN_OR_RETURN(const TrainStepResult result, session.Await("making the step", [&] {
    return session.client().TrainStep(flags.name, input, signal, options);
  }));
  ReportTrainStep(flags, result, session);
  TCONV_CLI_RETURN_IF_ERROR(WriteIfAsked(flags.output_path, result.output, session));
  return WriteIfAsked(flags.input_gradient_path, result.input_gradient, session);
}

}  // namespace

Command AddBackward(CLI::App& app) {
  auto flags = std::make_shared<BackwardFlags>();
  CLI::App* parser = app.add_subcommand("backward", "Compute the gradients of a layer");
  AddName(*parser, flags->name);
  AddFile(*parser, "--input", flags->input_path, "Input, batch first")->required();
  AddFile(*parser, "--upstream", flags->upstream_path, "dL/doutput, in the shape of the output")
      ->required();
  AddFile(*parser, "--input-gradient", flags->input_gradient_path, "Where to write dL/dinput");
  AddFile(*parser, "--kernel-gradient", flags->kernel_gradient_path, "Where to write dL/dkernel");
  AddFile(*parser, "--bias-gradient", flags->bias_gradient_path, "Where to write dL/dbias");
  parser->add_flag("--losses", flags->losses, "Differentiate the regularizers as well");
  parser->add_option("--min-version", flags->min_version, "The least version of the weights");
  parser->callback([flags = flags.get()] {
    if (flags->input_gradient_path.empty() && !flags->WantsWeightGradients()) {
      throw CLI::RequiredError("--input-gradient, --kernel-gradient or --bias-gradient");
    }
    RequireOneUserOfStandardStream({flags->input_path, flags->upstream_path});
    RequireOneUserOfStandardStream(
        {flags->input_gradient_path, flags->kernel_gradient_path, flags->bias_gradient_path});
  });
  return {parser, [flags](Session& session) { return Backward(*flags, session); }};
}

Command AddApplyGradients(CLI::App& app) {
  auto flags = std::make_shared<ApplyGradientsFlags>();
  CLI::App* parser =
      app.add_subcommand("apply-gradients", "Make a step of a layer's optimizer with gradients");
  AddName(*parser, flags->name);
  AddFile(*parser, "--kernel", flags->kernel_path, "dL/dkernel")->required();
  AddFile(*parser, "--bias", flags->bias_path, "dL/dbias");
  AddStep(*parser, flags->step);
  parser->callback([flags = flags.get()] {
    RequireOneUserOfStandardStream({flags->kernel_path, flags->bias_path});
  });
  return {parser, [flags](Session& session) { return ApplyGradients(*flags, session); }};
}

Command AddTrainStep(CLI::App& app) {
  auto flags = std::make_shared<TrainStepFlags>();
  flags->loss.set_name(kMeanSquaredError);
  CLI::App* parser = app.add_subcommand(
      "train-step", "Forward, loss, backward and a step of a layer's optimizer in one call");
  AddName(*parser, flags->name);
  AddFile(*parser, "--input", flags->input_path, "Input, batch first")->required();
  CLI::Option* target =
      AddFile(*parser, "--target", flags->target_path, "What the output should be");
  CLI::Option* loss =
      AddObject(*parser, "--loss", flags->loss,
                "How far it is from that: MeanSquaredError (default), MeanAbsoluteError, "
                "\"BinaryCrossentropy from_logits=true\"");
  loss->needs(target);
  AddFile(*parser, "--upstream", flags->upstream_path, "Instead of a target: dL/doutput")
      ->excludes(target);
  AddFile(*parser, "--output", flags->output_path, "Where to write the output");
  AddFile(*parser, "--input-gradient", flags->input_gradient_path, "Where to write dL/dinput");
  AddStep(*parser, flags->step);
  parser->callback([flags = flags.get()] {
    if (flags->target_path.empty() && flags->upstream_path.empty()) {
      throw CLI::RequiredError("--target or --upstream");
    }
    RequireOneUserOfStandardStream({flags->input_path, flags->target_path, flags->upstream_path});
    RequireOneUserOfStandardStream({flags->output_path, flags->input_gradient_path});
  });
  return {parser, [flags](Session& session) { return TrainStep(*flags, session); }};
}

}  // namespace tconv::cli
