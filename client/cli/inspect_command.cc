#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "client/cli/command.h"
#include "client/cli/footprint.h"
#include "client/cli/geometry_text.h"
#include "client/cli/kernel_image.h"
#include "client/cli/layer_text.h"
#include "client/cli/status_macros.h"
#include "client/cli/terminal_colors.h"

namespace tconv::cli {
namespace {

constexpr int64_t kMostInputs = 64;
constexpr int64_t kDefaultCells = 8;
// What a line of a terminal holds, in characters of a color and in ninths.
constexpr int64_t kWidestInColors = 160;
constexpr int64_t kWidestInText = 48;
constexpr int64_t kMostPixels = int64_t{1} << 22;
constexpr int64_t kPreferredPictureWidth = 800;
constexpr int64_t kLargestWeightPixels = 24;

struct InspectFlags {
  std::string name;
  Shape inputs;
  std::optional<IndexRange> filters, channels;
  bool geometry_only = false;
  std::string png_path;
};

// The layer, and what is drawn of it.
struct Inspection {
  v1::Layer layer;
  std::vector<std::string> axis_names;
  std::vector<Footprint> axes;
  std::vector<Remark> remarks;
  std::optional<KernelStatistics> statistics;  // with the following
  std::optional<KernelImage> image;
  IndexRange filters, channels;
};

// An option that takes two indices, "0:8".
void AddRange(CLI::App& parser, const std::string& flag, std::optional<IndexRange>& range,
              const std::string& description) {
  const auto parse = [flag, &range](const std::string& text) {
    IndexRange parsed;
    const char* end = text.data() + text.size();
    const auto [colon, error] = std::from_chars(text.data(), end, parsed.begin);
    const bool is_range =
        error == std::errc() && colon != end && *colon == ':' &&
        std::from_chars(colon + 1, end, parsed.end) == std::from_chars_result{end, {}} &&
        0 <= parsed.begin && parsed.begin < parsed.end;
    if (!is_range) {
      throw CLI::ValidationError(flag, fmt::format("expected a range like 0:8, got {}", text));
    }
    range = parsed;
  };
  parser.add_option_function<std::string>(flag, parse, description)->type_name("FROM:TO");
}

// What is to be drawn of `count`.
absl::StatusOr<IndexRange> Select(const char* flag, const std::optional<IndexRange>& range,
                                  int64_t count) {
  if (!range) return IndexRange{0, std::min(count, kDefaultCells)};
  if (range->end <= count) return *range;
  return absl::InvalidArgumentError(
      fmt::format("{}: the layer has {}, got {}:{}", flag, count, range->begin, range->end));
}

absl::Status MeasureGeometry(const Shape& inputs, Inspection& inspection) {
  const v1::LayerConfig& config = inspection.layer.config();
  const int rank = config.kernel_size_size();
  if (!inputs.empty() && std::ssize(inputs) != rank) {
    return absl::InvalidArgumentError(
        fmt::format("--inputs: expected {} extents, got {}", rank, inputs.size()));
  }
  inspection.axis_names = AxisNames(static_cast<size_t>(rank));
  for (int axis = 0; axis < rank; ++axis) {
    const auto index = static_cast<size_t>(axis);
    const int64_t in = inputs.empty() ? InputsToDraw(config, axis) : inputs[index];
    if (in < 1 || in > kMostInputs) {
      return absl::InvalidArgumentError(
          fmt::format("--inputs: expected extents from 1 to {}, got {}", kMostInputs, in));
    }
    inspection.axes.push_back(FootprintOf(config, axis, in));
    for (Remark& remark : RemarksOn(inspection.axis_names[index], inspection.axes.back())) {
      inspection.remarks.push_back(std::move(remark));
    }
  }
  return absl::OkStatus();
}

absl::Status MeasureKernel(const InspectFlags& flags, Inspection& inspection, Session& session) {
  const v1::Layer& layer = inspection.layer;
  TCONV_CLI_ASSIGN_OR_RETURN(inspection.filters,
                             Select("--filters", flags.filters, layer.config().filters()));
  TCONV_CLI_ASSIGN_OR_RETURN(inspection.channels,
                             Select("--channels", flags.channels, layer.input_channels()));
  int64_t pixels = inspection.filters.size() * inspection.channels.size();
  for (const int64_t extent : layer.config().kernel_size()) {
    if (pixels <= kMostPixels) pixels *= extent;
  }
  if (pixels > kMostPixels) {
    return absl::InvalidArgumentError(
        fmt::format("--filters, --channels: expected at most {} weights to draw", kMostPixels));
  }
  TCONV_CLI_ASSIGN_OR_RETURN(const VersionedWeights answer,
                             session.Await("getting the weights", [&] {
                               return session.client().GetWeights(flags.name);
                             }));
  const Tensor& kernel = answer.weights.kernel;
  inspection.statistics = StatisticsOf(kernel);
  inspection.image.emplace(kernel, inspection.filters, inspection.channels);
  return absl::OkStatus();
}

Json RangeToJson(IndexRange range) { return {range.begin, range.end}; }

Json KernelToJson(const Inspection& inspection) {
  if (!inspection.statistics) return nullptr;
  const KernelStatistics& statistics = *inspection.statistics;
  return {{"smallest", statistics.smallest},
          {"largest", statistics.largest},
          {"mean", statistics.mean},
          {"deviation", statistics.deviation},
          {"not_finite", statistics.not_finite},
          {"filters", RangeToJson(inspection.filters)},
          {"channels", RangeToJson(inspection.channels)}};
}

Json AxisToJson(const std::string& name, const Footprint& footprint) {
  return {{"axis", name},
          {"inputs", footprint.in},
          {"outputs", footprint.out},
          {"kernel", footprint.kernel},
          {"stride", footprint.stride},
          {"dilation", footprint.dilation},
          {"crop_begin", footprint.crop_begin},
          {"crop_end", footprint.crop_end()},
          {"even", footprint.kernel % footprint.stride == 0}};
}

Json ToJson(const Inspection& inspection) {
  Json axes = Json::array();
  for (size_t i = 0; i < inspection.axes.size(); ++i) {
    axes.push_back(AxisToJson(inspection.axis_names[i], inspection.axes[i]));
  }
  Json warnings = Json::array();
  for (const Remark& remark : inspection.remarks) {
    if (remark.is_warning) warnings.push_back(remark.text);
  }
  return {{"name", inspection.layer.name()},
          {"axes", std::move(axes)},
          {"warnings", std::move(warnings)},
          {"kernel", KernelToJson(inspection)}};
}

std::string KernelText(const Inspection& inspection, bool colors) {
  const KernelImage& image = *inspection.image;
  const KernelStatistics& statistics = *inspection.statistics;
  std::string text = fmt::format(
      "kernel: from {:.4g} to {:.4g}, mean {:.4g}, deviation {:.4g}\n"
      "filters {}:{} downwards, channels {}:{} to the right; {} is {:.4g}\n",
      statistics.smallest, statistics.largest, statistics.mean, statistics.deviation,
      inspection.filters.begin, inspection.filters.end, inspection.channels.begin,
      inspection.channels.end, colors ? "full red" : "9", image.scale());
  if (statistics.not_finite > 0) {
    text += fmt::format("warning: {} weights are not finite\n", statistics.not_finite);
  }
  if (image.width() > (colors ? kWidestInColors : kWidestInText)) {
    return text + "too wide to draw here: choose fewer --channels, or write a --png\n";
  }
  return text + (colors ? HalfBlocks(image.ToPicture(1)) : image.ToText());
}

std::string ToText(const Inspection& inspection, bool colors) {
  const Drawing drawing = colors ? Drawing::kColors : Drawing::kPlain;
  std::string text = FormatGeometry(inspection.layer) + "\n";
  for (size_t i = 0; i < inspection.axes.size(); ++i) {
    text += DrawAxis(inspection.axis_names[i], inspection.axes[i], drawing) + "\n";
  }
  const std::string coverage = DrawCoverage(inspection.axes, drawing);
  if (!coverage.empty()) text += coverage + "\n";
  for (const Remark& remark : inspection.remarks) {
    text += fmt::format("{}{}\n", remark.is_warning ? "warning: " : "", remark.text);
  }
  if (inspection.image) text += "\n" + KernelText(inspection, colors);
  return text;
}

absl::Status WriteKernel(const std::string& path, const Inspection& inspection) {
  if (!inspection.image) {
    return absl::FailedPreconditionError(
        fmt::format("{}: layer \"{}\" is not built, there is no kernel to draw", path,
                    inspection.layer.name()));
  }
  const int64_t pixels = kPreferredPictureWidth / inspection.image->width();
  return WritePng(
      path, inspection.image->ToPicture(std::clamp<int64_t>(pixels, 1, kLargestWeightPixels)));
}

absl::Status Inspect(const InspectFlags& flags, Session& session) {
  Inspection inspection;
  TCONV_CLI_ASSIGN_OR_RETURN(inspection.layer, session.client().Get(flags.name));
  TCONV_CLI_RETURN_IF_ERROR(MeasureGeometry(flags.inputs, inspection));
  if (inspection.layer.weights_version() > 0 && !flags.geometry_only) {
    TCONV_CLI_RETURN_IF_ERROR(MeasureKernel(flags, inspection, session));
  }
  if (!flags.png_path.empty()) {
    TCONV_CLI_RETURN_IF_ERROR(WriteKernel(flags.png_path, inspection));
  }
  session.Report(ToJson(inspection), ToText(inspection, session.out_has_colors()));
  return absl::OkStatus();
}

}  // namespace

Command AddInspect(CLI::App& app) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* parser = app.add_subcommand(
      "inspect", "Draw where the inputs of a layer land, how evenly they cover it, and its kernel");
  AddName(*parser, flags->name);
  AddExtents(*parser, "--inputs", flags->inputs,
             "Spatial extents of the input to draw: 4,4 (default: enough to see what repeats)");
  AddRange(*parser, "--filters", flags->filters, "Filters of the kernel to draw (default: 0:8)");
  AddRange(*parser, "--channels", flags->channels,
           "Channels of the input for which to draw them (default: 0:8)");
  CLI::Option* png =
      AddFile(*parser, "--png", flags->png_path, "Where to write the drawing of the kernel");
  parser
      ->add_flag("--geometry", flags->geometry_only,
                 "The geometry alone: the weights are not asked for")
      ->excludes(png);
  return {parser, [flags](Session& session) { return Inspect(*flags, session); }};
}

}  // namespace tconv::cli
