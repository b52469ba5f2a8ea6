#include "client/cli/footprint.h"

#include <fmt/format.h>

#include <algorithm>

namespace tconv::cli {
namespace {

constexpr int64_t kFewestInputs = 3;
constexpr int64_t kMostInputs = 16;

int64_t ExtentOr(const google::protobuf::RepeatedField<int64_t>& extents, int axis,
                 int64_t fallback) {
  return extents.empty() ? fallback : extents.Get(axis);
}

// Away from the borders. A stride beyond 1 goes with a dilation of 1, so that the taps of
// an input lie side by side there.
Remark RemarkOnEvenness(const std::string& axis, const Footprint& footprint) {
  const int64_t fewest = footprint.kernel / footprint.stride;
  const int64_t rest = footprint.kernel % footprint.stride;
  if (rest == 0) {
    return {.text = fmt::format("{}: even, each output gets {} tap{} (borders aside)", axis, fewest,
                                fewest == 1 ? "" : "s")};
  }
  if (fewest == 0) {
    return {.is_warning = true,
            .text = fmt::format("{}: gaps, kernel {} is smaller than stride {}: {} of {} outputs "
                                "get no tap and hold the bias alone",
                                axis, footprint.kernel, footprint.stride,
                                footprint.stride - footprint.kernel, footprint.stride)};
  }
  return {
      .is_warning = true,
      .text = fmt::format("{}: checkerboard, kernel {} is no multiple of stride {}: outputs get "
                          "{} or {} taps in turns; kernel {} or {} would cover them alike",
                          axis, footprint.kernel, footprint.stride, fewest, fewest + 1,
                          fewest * footprint.stride, (fewest + 1) * footprint.stride)};
}

}  // namespace

std::optional<int64_t> Footprint::TapAt(int64_t input, int64_t place) const {
  const int64_t distance = place - input * stride;
  if (distance < 0 || distance % dilation != 0 || distance / dilation >= kernel) return {};
  return distance / dilation;
}

int64_t Footprint::Coverage(int64_t position) const {
  int64_t taps = 0;
  for (int64_t input = 0; input < in; ++input) {
    if (TapAt(input, crop_begin + position)) ++taps;
  }
  return taps;
}

Footprint FootprintOf(const v1::LayerConfig& config, int axis, int64_t in) {
  Footprint footprint{.in = in,
                      .kernel = config.kernel_size(axis),
                      .stride = ExtentOr(config.strides(), axis, 1),
                      .dilation = ExtentOr(config.dilation_rate(), axis, 1)};
  const int64_t reach = footprint.reach();
  const int64_t last_start = (in - 1) * footprint.stride;
  const bool is_same = config.padding() == v1::PADDING_SAME;
  if (config.output_padding().empty()) {
    footprint.out =
        is_same ? in * footprint.stride : last_start + std::max(reach, footprint.stride);
    if (is_same) footprint.crop_begin = std::max<int64_t>((reach - footprint.stride) / 2, 0);
    return footprint;
  }
  const int64_t padding = config.output_padding(axis);
  const int64_t odd = reach % 2;
  footprint.out = last_start + (is_same ? odd : reach) + padding;
  if (is_same) footprint.crop_begin = std::max<int64_t>((reach - odd - padding) / 2, 0);
  return footprint;
}

int64_t InputsToDraw(const v1::LayerConfig& config, int axis) {
  const Footprint one = FootprintOf(config, axis, 1);
  return std::clamp(one.reach() / one.stride + 2, kFewestInputs, kMostInputs);
}

std::vector<Remark> RemarksOn(const std::string& axis, const Footprint& footprint) {
  std::vector<Remark> remarks = {RemarkOnEvenness(axis, footprint)};
  if (footprint.dilation > 1) {
    remarks.push_back({.text = fmt::format("{}: taps lie {} apart, an input reaches {} outputs far",
                                           axis, footprint.dilation, footprint.reach())});
  }
  if (footprint.crop_begin > 0 || footprint.crop_end() > 0) {
    remarks.push_back(
        {.text = fmt::format("{}: {} before and {} after the output are cut off", axis,
                             footprint.crop_begin, std::max<int64_t>(footprint.crop_end(), 0))});
  }
  if (footprint.crop_end() < 0 && footprint.kernel >= footprint.stride) {
    remarks.push_back({.is_warning = true,
                       .text = fmt::format(
                           "{}: the last {} of the outputs lie behind every tap and hold the bias "
                           "alone",
                           axis, -footprint.crop_end())});
  }
  return remarks;
}

}  // namespace tconv::cli
