#include "client/cli/train_demo.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "client/cli/demo_layer.h"
#include "client/cli/loss_curve.h"
#include "client/cli/picture.h"
#include "client/cli/status_macros.h"
#include "client/cli/super_resolution.h"
#include "client/cli/table.h"

namespace tconv::cli {
namespace {

constexpr char kLayerName[] = "tconv_demo_learned_x2";
constexpr double kLearningRate = 0.003;

struct Learned {
  std::vector<double> losses;
  double seconds = 0;
};

// What came of it: the same picture by both kernels.
struct Outcome {
  Picture bilinear, learned;
  Learned learning;
};

v1::KerasObject Object(const char* name) {
  v1::KerasObject object;
  object.set_name(name);
  return object;
}

// Columns to learn from; the others tell how well it went.
int64_t LearnedColumns(const Picture& picture) { return picture.width * 2 / 3; }

absl::StatusOr<Picture> ReadTruth(const std::string& path) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Picture picture, ReadPng(path));
  Picture truth = CropToEven(picture);
  constexpr int64_t kLeast = PatchSampler::kPatchPixels;
  if (LearnedColumns(truth) >= kLeast && truth.height >= kLeast) return truth;
  return absl::InvalidArgumentError(fmt::format("{}: expected at least {} x {} pixels, got {} x {}",
                                                path, kLeast * 3 / 2, kLeast, picture.width,
                                                picture.height));
}

absl::StatusOr<Picture> Enlarge(const Picture& small, const DemoLayer& layer, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const ForwardResult result,
                             session.client().Forward(layer.name(), ToPlanes(small)));
  return FromPlanes(result.output, small);
}

// From the full rate down to none, along half a cosine.
double LearningRate(int64_t step, int64_t steps) {
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  return kLearningRate * (1 + std::cos(std::numbers::pi * done)) / 2;
}

// Steps from `version` on. ABORTED: somebody else has changed the layer.
absl::StatusOr<std::vector<double>> MakeSteps(const TrainDemo& demo, const DemoLayer& layer,
                                              PatchSampler sampler, int64_t version,
                                              Session& session) {
  return session.AwaitShare("learning", [&](auto show) -> absl::StatusOr<std::vector<double>> {
    std::vector<double> losses;
    for (int64_t step = 0; step < demo.steps; ++step) {
      PatchSampler::Patches patches = sampler.Next();
      TCONV_CLI_ASSIGN_OR_RETURN(
          const TrainStepResult result,
          session.client().TrainStep(
              layer.name(), patches.small,
              TrainTarget{.target = patches.large, .loss = Object("MeanSquaredError")},
              {.if_version = version, .learning_rate = LearningRate(step, demo.steps)}));
      if (!result.loss) return absl::InternalError("answer of the server: expected a loss");
      version = result.step.weights_version;
      losses.push_back(*result.loss);
      show(static_cast<double>(step + 1) / static_cast<double>(demo.steps),
           fmt::format("loss {:.5f}", *result.loss));
    }
    return losses;
  });
}

absl::StatusOr<Learned> Learn(const TrainDemo& demo, const Picture& truth, const DemoLayer& layer,
                              Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(
      const v1::Layer prepared,
      session.client().SetOptimizer(layer.name(), {.definition = Object("Adam")}));
  const auto start = std::chrono::steady_clock::now();
  TCONV_CLI_ASSIGN_OR_RETURN(std::vector<double> losses,
                             MakeSteps(demo, layer, PatchSampler(truth, LearnedColumns(truth)),
                                       prepared.weights_version(), session));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return Learned{.losses = std::move(losses), .seconds = elapsed.count()};
}

absl::StatusOr<Outcome> Demonstrate(const TrainDemo& demo, const Picture& truth,
                                    const DemoLayer& layer, Session& session) {
  const Picture small = Halve(truth);
  Outcome outcome;
  TCONV_CLI_ASSIGN_OR_RETURN(outcome.bilinear, Enlarge(small, layer, session));
  TCONV_CLI_ASSIGN_OR_RETURN(outcome.learning, Learn(demo, truth, layer, session));
  TCONV_CLI_ASSIGN_OR_RETURN(outcome.learned, Enlarge(small, layer, session));
  return outcome;
}

// Of the first and of the last tenth of the steps: single ones vary with their patches.
std::pair<double, double> LossesAtBothEnds(const std::vector<double>& losses) {
  const auto count = static_cast<std::ptrdiff_t>((losses.size() + 9) / 10);
  const auto mean = [count](auto first) {
    return std::accumulate(first, first + count, 0.0) / static_cast<double>(count);
  };
  return {mean(losses.begin()), mean(losses.end() - count)};
}

absl::Status WriteFiles(const TrainDemo& demo, const Outcome& outcome, const std::string& title,
                        Session& session) {
  if (!demo.bilinear_path.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(WritePng(demo.bilinear_path, outcome.bilinear));
  }
  if (!demo.curve_path.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(
        session.WriteText(demo.curve_path, DrawLossCurve(outcome.learning.losses, title)));
  }
  return WritePng(demo.output_path, outcome.learned);
}

absl::Status Report(const TrainDemo& demo, const Picture& truth, const DemoLayer& layer,
                    const Outcome& outcome, Session& session) {
  const int64_t columns = LearnedColumns(truth);
  const double bilinear = Psnr(outcome.bilinear, truth, columns);
  const double learned = Psnr(outcome.learned, truth, columns);
  const double seconds = outcome.learning.seconds;
  const auto [first_loss, last_loss] = LossesAtBothEnds(outcome.learning.losses);
  TCONV_CLI_RETURN_IF_ERROR(
      WriteFiles(demo, outcome,
                 fmt::format("{} steps of Adam: from {:.2f} dB (bilinear) to {:.2f} dB", demo.steps,
                             bilinear, learned),
                 session));
  session.Report(
      {{"input", {{"path", demo.input_path}, {"width", truth.width}, {"height", truth.height}}},
       {"output", {{"path", demo.output_path}}},
       {"layer", layer.name()},
       {"steps", demo.steps},
       {"seconds", seconds},
       {"losses", outcome.learning.losses},
       {"psnr_db", {{"bilinear", bilinear}, {"learned", learned}, {"gain", learned - bilinear}}}},
      FormatTable(
          {{"input", fmt::format("{}, {} x {}", demo.input_path, truth.width, truth.height)},
           {"layer", fmt::format("{} ({})", layer.name(), layer.Fate(demo.keep))},
           {"",
            fmt::format("Conv2DTranspose, kernel {0} x {0}, stride 2, same padding", kLearnerTaps)},
           {"learning", fmt::format("{} steps of Adam in {:.1f} s, {:.1f} ms each", demo.steps,
                                    seconds, 1000 * seconds / static_cast<double>(demo.steps))},
           {"", fmt::format("loss {:.5f}, then {:.5f}", first_loss, last_loss)},
           {"compared",
            fmt::format("{} columns on the right, which it has not seen", truth.width - columns)},
           {"bilinear", fmt::format("{:.2f} dB", bilinear)},
           {"learned", fmt::format("{:.2f} dB, {:+.2f} dB", learned, learned - bilinear)},
           {"output", demo.output_path}}));
  return absl::OkStatus();
}

}  // namespace

absl::Status RunTrainDemo(const TrainDemo& demo, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Picture truth, ReadTruth(demo.input_path));
  TCONV_CLI_ASSIGN_OR_RETURN(
      const DemoLayer layer,
      DemoLayer::Make(kLayerName, LearnerConfig(), {.kernel = LearnerStart()}, session));
  const auto outcome = Demonstrate(demo, truth, layer, session);
  TCONV_CLI_RETURN_IF_ERROR(layer.End(demo.keep, session));
  if (!outcome.ok()) return outcome.status();
  return Report(demo, truth, layer, *outcome, session);
}

}  // namespace tconv::cli
