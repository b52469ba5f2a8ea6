#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "client/cli/command.h"
#include "client/cli/layer_text.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "client/cli/value_text.h"

namespace tconv::cli {
namespace {

struct SetOptimizerFlags {
  std::string name;
  v1::KerasObject optimizer;
  std::string keras_path, slots_folder;
  int64_t iterations = 0;
};

struct GetOptimizerFlags {
  std::string name;
  std::string keras_path, slots_folder;
};

const struct {
  const char* name;
  std::optional<Weights> OptimizerSlots::*value;
} kSlots[] = {{"momentum", &OptimizerSlots::momentum},
              {"velocity", &OptimizerSlots::velocity},
              {"velocity_hat", &OptimizerSlots::velocity_hat},
              {"average_gradient", &OptimizerSlots::average_gradient}};

std::string SlotFile(const std::string& folder, const std::string& slot, const char* weight) {
  return (std::filesystem::path(folder) / fmt::format("{}.{}.npy", slot, weight)).string();
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

absl::StatusOr<OptimizerSlots> ReadSlots(const std::string& folder, Session& session) {
  OptimizerSlots slots;
  bool found = false;
  for (const auto& [name, value] : kSlots) {
    const std::string kernel = SlotFile(folder, name, "kernel");
    const std::string bias = SlotFile(folder, name, "bias");
    if (!Exists(kernel)) continue;
    found = true;
    TCONV_CLI_ASSIGN_OR_RETURN(slots.*value, session.ReadWeights(kernel, Exists(bias) ? bias : ""));
  }
  if (found) return slots;
  return absl::InvalidArgumentError(
      fmt::format("{}: expected files like {}", folder, SlotFile("", kSlots[0].name, "kernel")));
}

absl::Status WriteSlots(const std::string& folder, const OptimizerSlots& slots, Session& session) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::UnknownError(fmt::format("{}: {}", folder, error.message()));
  for (const auto& [name, value] : kSlots) {
    const std::optional<Weights>& weights = slots.*value;
    if (!weights) continue;
    const std::string bias = weights->bias ? SlotFile(folder, name, "bias") : "";
    TCONV_CLI_RETURN_IF_ERROR(
        session.WriteWeights(SlotFile(folder, name, "kernel"), bias, *weights));
  }
  return absl::OkStatus();
}

absl::Status SetOptimizer(const SetOptimizerFlags& flags, Session& session) {
  NewOptimizer optimizer{.definition = flags.optimizer, .iterations = flags.iterations};
  if (!flags.keras_path.empty()) {
    TCONV_CLI_ASSIGN_OR_RETURN(std::string text, session.ReadText(flags.keras_path));
    optimizer.definition = KerasJson{std::move(text)};
  }
  if (!flags.slots_folder.empty()) {
    TCONV_CLI_ASSIGN_OR_RETURN(optimizer.slots, ReadSlots(flags.slots_folder, session));
  }
  TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer layer, session.Await("setting the optimizer", [&] {
    return session.client().SetOptimizer(flags.name, optimizer);
  }));
  session.Report(LayerToJson(layer), FormatLayer(layer));
  return absl::OkStatus();
}

void ReportOptimizer(const GetOptimizerFlags& flags, const OptimizerStatus& status,
                     Session& session) {
  Json slots = Json::object();
  Rows rows = {{"optimizer", FormatObject(status.optimizer)},
               {"steps", std::to_string(status.iterations)},
               {"weights version", std::to_string(status.weights_version)}};
  for (const auto& [name, value] : kSlots) {
    const std::optional<Weights>& weights = status.slots.*value;
    slots[name] = weights ? DescribeWeights(*weights) : Json();
    if (weights) Append(WeightRows(*weights, std::string(name) + " of "), rows);
  }
  session.Report({{"name", flags.name},
                  {"optimizer", ToJson(status.optimizer)},
                  {"keras_json", Json::parse(status.keras_json, nullptr, false)},
                  {"iterations", status.iterations},
                  {"slots", std::move(slots)},
                  {"weights_version", status.weights_version}},
                 FormatTable(rows), {flags.keras_path});
}

absl::Status GetOptimizer(const GetOptimizerFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const OptimizerStatus status,
                             session.Await("getting the optimizer", [&] {
                               return session.client().GetOptimizer(flags.name);
                             }));
  if (!flags.keras_path.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(session.WriteText(flags.keras_path, status.keras_json + "\n"));
  }
  if (!flags.slots_folder.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(WriteSlots(flags.slots_folder, status.slots, session));
  }
  ReportOptimizer(flags, status, session);
  return absl::OkStatus();
}

}  // namespace

Command AddSetTrainable(CLI::App& app) {
  struct Flags {
    std::string name;
    bool trainable = true;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* parser =
      app.add_subcommand("set-trainable", "Freeze a layer, which then refuses steps, or thaw it");
  AddName(*parser, flags->name);
  parser->add_option("trainable", flags->trainable, "Whether steps may change it")
      ->required()
      ->type_name("true|false");
  return {parser, [flags](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer layer, session.client().SetTrainable(
                                                                  flags->name, flags->trainable));
            session.Report(LayerToJson(layer), FormatLayer(layer));
            return absl::OkStatus();
          }};
}

Command AddSetOptimizer(CLI::App& app) {
  auto flags = std::make_shared<SetOptimizerFlags>();
  CLI::App* parser = app.add_subcommand(
      "set-optimizer", "Give a layer an optimizer, whose state begins anew unless there are slots");
  AddName(*parser, flags->name);
  CLI::Option* optimizer = AddObject(
      *parser, "--optimizer", flags->optimizer,
      "SGD, Adam, AdamW or RMSprop with arguments: \"Adam learning_rate=0.01 amsgrad=true\"");
  AddFile(*parser, "--keras", flags->keras_path,
          "Instead: JSON of keras.optimizers.serialize(optimizer)")
      ->excludes(optimizer);
  AddFile(*parser, "--slots", flags->slots_folder, "Folder that get-optimizer has written")
      ->type_name("FOLDER");
  parser->add_option("--iterations", flags->iterations, "Steps that were made with these slots")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  parser->callback([flags = flags.get()] {
    if (flags->optimizer.name().empty() && flags->keras_path.empty()) {
      throw CLI::RequiredError("--optimizer or --keras");
    }
  });
  return {parser, [flags](Session& session) { return SetOptimizer(*flags, session); }};
}

Command AddGetOptimizer(CLI::App& app) {
  auto flags = std::make_shared<GetOptimizerFlags>();
  CLI::App* parser =
      app.add_subcommand("get-optimizer", "Describe the optimizer of a layer, and how far it is");
  AddName(*parser, flags->name);
  AddFile(*parser, "--keras", flags->keras_path,
          "Where to write JSON that keras.optimizers.deserialize reads");
  AddFile(*parser, "--slots", flags->slots_folder,
          "Folder for what it remembers of the gradients: momentum.kernel.npy, ...")
      ->type_name("FOLDER");
  return {parser, [flags](Session& session) { return GetOptimizer(*flags, session); }};
}

}  // namespace tconv::cli
