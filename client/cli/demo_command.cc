#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "client/cli/command.h"
#include "client/cli/demo_layer.h"
#include "client/cli/picture.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "client/cli/train_demo.h"
#include "client/cli/upscale.h"

namespace tconv::cli {
namespace {

struct DemoFlags {
  std::string input_path, output_path;
  int64_t scale = 4;
  bool keep = false;
  // Of the demonstration that trains.
  bool train = false;
  std::string bilinear_path, curve_path;
  int64_t steps = TrainDemo().steps;
};

struct Upscaled {
  Picture picture;
  double seconds = 0;
};

absl::StatusOr<Upscaled> Upscale(const Picture& picture, const std::string& layer, int64_t scale,
                                 Session& session) {
  const Tensor input = ToTensor(picture);
  const auto start = std::chrono::steady_clock::now();
  TCONV_CLI_ASSIGN_OR_RETURN(const ForwardResult result,
                             session.Await("waiting for the picture",
                                           [&] { return session.client().Forward(layer, input); }));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  TCONV_CLI_ASSIGN_OR_RETURN(Picture scaled, FromOutput(result.output, picture, scale));
  return Upscaled{.picture = std::move(scaled), .seconds = elapsed.count()};
}

void ReportDemo(const DemoFlags& flags, const Picture& picture, const DemoLayer& layer,
                const Upscaled& upscaled, Session& session) {
  const Picture& scaled = upscaled.picture;
  const double megapixels = static_cast<double>(scaled.width * scaled.height) / 1e6;
  const int64_t taps = 2 * flags.scale - flags.scale % 2;
  session.Report(
      {{"input",
        {{"path", flags.input_path}, {"width", picture.width}, {"height", picture.height}}},
       {"output",
        {{"path", flags.output_path}, {"width", scaled.width}, {"height", scaled.height}}},
       {"layer", layer.name()},
       {"seconds", upscaled.seconds},
       {"megapixels_per_second", megapixels / upscaled.seconds}},
      FormatTable(
          {{"input", fmt::format("{}, {} x {}", flags.input_path, picture.width, picture.height)},
           {"layer", fmt::format("{} ({})", layer.name(), layer.Fate(flags.keep))},
           {"", fmt::format("Conv2DTranspose, kernel {0} x {0}, stride {1}, same padding", taps,
                            flags.scale)},
           {"output", fmt::format("{}, {} x {}", flags.output_path, scaled.width, scaled.height)},
           {"call", fmt::format("{:.1f} ms, {:.1f} megapixels/s", 1000 * upscaled.seconds,
                                megapixels / upscaled.seconds)}}));
}

absl::Status Demo(const DemoFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Picture picture, ReadPng(flags.input_path));
  TCONV_CLI_ASSIGN_OR_RETURN(
      const DemoLayer layer,
      DemoLayer::Make(fmt::format("tconv_demo_bilinear_x{}_c{}", flags.scale, picture.channels),
                      BilinearConfig(flags.scale, picture.channels),
                      {.kernel = BilinearKernel(flags.scale, picture.channels)}, session));
  const auto upscaled = Upscale(picture, layer.name(), flags.scale, session);
  TCONV_CLI_RETURN_IF_ERROR(layer.End(flags.keep, session));
  if (!upscaled.ok()) return upscaled.status();
  TCONV_CLI_RETURN_IF_ERROR(WritePng(flags.output_path, upscaled->picture));
  ReportDemo(flags, picture, layer, *upscaled, session);
  return absl::OkStatus();
}

TrainDemo ToTrainDemo(const DemoFlags& flags) {
  return {.input_path = flags.input_path,
          .output_path = flags.output_path,
          .bilinear_path = flags.bilinear_path,
          .curve_path = flags.curve_path,
          .steps = flags.steps,
          .keep = flags.keep};
}

}  // namespace

Command AddDemo(CLI::App& app) {
  auto flags = std::make_shared<DemoFlags>();
  CLI::App* parser = app.add_subcommand(
      "demo", "Up-scale a picture on the server with a bilinear transposed convolution");
  AddFile(*parser, "--input", flags->input_path, "Picture (.png)")->required();
  AddFile(*parser, "--output", flags->output_path, "Where to write the larger one")->required();
  CLI::Option* scale = parser->add_option("--scale", flags->scale, "How many times larger")
                           ->check(CLI::Range(kSmallestScale, kLargestScale))
                           ->capture_default_str();
  parser->add_flag("--keep", flags->keep, "Leave the layer on the server");
  CLI::Option* train =
      parser
          ->add_flag("--train", flags->train,
                     "Halve the picture, and train a layer to make it as large again; the right "
                     "third, which it does not see, tells how much better than bilinear it is")
          ->excludes(scale);
  AddFile(*parser, "--bilinear", flags->bilinear_path,
          "Where to write what the bilinear kernel makes of it, to compare")
      ->needs(train);
  AddFile(*parser, "--curve", flags->curve_path, "Where to draw how the loss fell (.svg)")
      ->needs(train);
  parser->add_option("--steps", flags->steps, "Steps of training")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->needs(train);
  return {parser, [flags](Session& session) {
            return flags->train ? RunTrainDemo(ToTrainDemo(*flags), session)
                                : Demo(*flags, session);
          }};
}

}  // namespace tconv::cli
