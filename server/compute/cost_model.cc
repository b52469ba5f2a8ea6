#include "server/compute/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <vector>

#include "server/compute/phases.h"

namespace tconv::server {
namespace {

// Nanoseconds of one multiplication and addition in a vector that is full.
constexpr double kMultiplication = 0.0125;
// Of a float that comes from beyond the L2 cache.
constexpr double kStreamedFloat = 0.14;
// Floats that stay in it.
constexpr double kCachedFloats = 256 << 10;

// `count` pieces of work of so many nanoseconds each.
struct Work {
  double count;
  double nanoseconds;
};

std::chrono::nanoseconds Sum(std::initializer_list<Work> works) {
  constexpr double kLongest = 1e18;
  double sum = 0;
  for (const Work& work : works) sum += work.count * work.nanoseconds;
  return std::chrono::nanoseconds(static_cast<int64_t>(std::min(sum, kLongest)));
}

double WholeVectors(double lanes) { return 16 * std::ceil(lanes / 16); }

// Counts of one problem; products of its axes.
struct Counts {
  explicit Counts(const DeconvProblem& problem)
      : axes(SpatialAxes(problem)),
        images(static_cast<double>(problem.batch)),
        channels(static_cast<double>(problem.in_channels)),
        filters(static_cast<double>(problem.out_channels)),
        is_planar(problem.data_format == DataFormat::kChannelsFirst) {
    for (const AxisGeometry& axis : axes) {
      inputs *= static_cast<double>(axis.in);
      outputs *= static_cast<double>(axis.out);
      taps *= static_cast<double>(axis.kernel);
      double live = 0;
      double landing = 0;
      for (int64_t tap = 0; tap < axis.kernel; ++tap) {
        const auto inputs_of_tap = static_cast<double>(LiveInputs(axis, tap).size());
        landing += inputs_of_tap;
        live += inputs_of_tap > 0 ? 1 : 0;
      }
      live_taps *= live;
      useful *= landing / static_cast<double>(axis.in * axis.kernel);
    }
  }

  // To bring weights of so many taps from memory, where the cache cannot keep
  // them from the last time.
  Work Weights(double of_taps) const {
    const double weights = of_taps * filters * channels;
    return {weights > 2 * kCachedFloats ? weights : 0, kStreamedFloat};
  }

  // Lines of the output of one image.
  double output_rows() const {
    return static_cast<double>(axes[0].out) * static_cast<double>(axes[1].out);
  }

  std::array<AxisGeometry, 3> axes;
  double images;
  double channels;
  double filters;
  bool is_planar;
  double inputs = 1;   // positions of one image
  double outputs = 1;  // positions of one image
  double taps = 1;
  double live_taps = 1;  // that reach an output
  double useful = 1;     // part of all pairs of inputs and taps that reach one
};

// One run of each axis: what is computed and woven together.
struct RunCounts {
  double phases = 1;
  double outer_phases = 1;  // of depth and height
  double steps = 1;
  double positions = 1;
  double rows = 1;   // positions of depth and height
  double reach = 0;  // inputs of the width before a position that it reads
};

template <typename Visitor>
void ForEachRun(const std::array<AxisGeometry, 3>& axes, const std::array<bool, 3>& merges,
                Visitor visit) {
  std::array<std::vector<TapRun>, 3> runs;
  for (size_t i = 0; i < 3; ++i) runs[i] = TapRunsOf(axes[i], merges[i]);
  for (const TapRun& d : runs[0]) {
    for (const TapRun& h : runs[1]) {
      for (const TapRun& w : runs[2]) {
        const auto product = [](int64_t a, int64_t b, int64_t c) {
          return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
        };
        visit(RunCounts{
            .phases = product(d.phases, h.phases, w.phases),
            .outer_phases = product(d.phases, h.phases, 1),
            .steps = product(d.steps, h.steps, w.steps),
            .positions = product(d.positions.size(), h.positions.size(), w.positions.size()),
            .rows = product(d.positions.size(), h.positions.size(), 1),
            .reach = static_cast<double>(std::max<int64_t>(0, w.steps - 1) * w.distance)});
      }
    }
  }
}

std::chrono::nanoseconds OverlapPlanesTime(const Counts& n) {
  const AxisGeometry& w = n.axes[2];
  const double lines = n.images * n.output_rows() * n.filters;
  return Sum({{1, 5000},
              n.Weights(n.live_taps),
              {n.images * n.inputs * n.taps * n.filters * n.channels, kMultiplication},
              {n.images * n.inputs * n.taps * n.filters, 0.16},
              {lines * static_cast<double>(w.stride), 14},
              {lines * static_cast<double>(w.kernel), 16},
              {n.images * n.outputs * n.filters, 0.6}});
}

std::chrono::nanoseconds OverlapBlocksTime(const Counts& n) {
  constexpr double kTileColumns = 100'000;
  const double columns = n.images * n.inputs * WholeVectors(n.taps * n.filters);
  double rows = 0;
  double edges = 0;
  ForEachRun(n.axes, {true, true, true}, [&](const RunCounts& run) {
    const double width = run.positions / run.rows;
    rows += n.images * run.rows;
    edges += n.images * run.rows * run.steps * std::min(2 * run.reach, width);
  });
  return Sum({{1, 300},
              n.Weights(n.taps),
              {std::max(n.images, columns / kTileColumns), 660},
              {columns * n.channels, kMultiplication},
              {columns, 0.16},
              {rows, 45},
              {edges, 0.4},
              {n.images * n.outputs * n.filters, 0.23},
              {n.images * n.outputs, 0.8}});
}

}  // namespace

std::chrono::nanoseconds PhaseConvTime(const DeconvProblem& problem) {
  constexpr double kSumsPerCall = 128 << 10;
  const Counts n(problem);
  std::array<bool, 3> merges;
  for (size_t i = 0; i < 3; ++i) merges[i] = MergesPhases(n.axes[i], problem.out_channels);
  double calls = 0;
  double multiplications = 0;
  double rows = 0;
  double blocks = 0;
  double gaps = 0;
  ForEachRun(n.axes, merges, [&](const RunCounts& run) {
    if (run.steps == 0) {
      gaps += n.images * run.positions * run.phases;
      return;
    }
    const double lanes = WholeVectors(run.phases * n.filters);
    calls += std::max(1.0, n.images * run.positions * run.phases * n.filters / kSumsPerCall);
    multiplications += n.images * n.inputs * run.steps * lanes * n.channels;
    rows += n.images * run.rows * run.outer_phases;
    blocks += n.images * run.positions * run.outer_phases;
  });
  return Sum({{1, 2500},
              n.Weights(n.live_taps),
              {calls, 700},
              {n.useful * multiplications, kMultiplication},
              {rows, 110},
              {blocks, 3},
              {gaps, 3},
              {n.images * n.outputs * n.filters, n.is_planar ? 0.75 : 0.26},
              {n.images * n.inputs * n.channels, n.is_planar ? 0.55 : 0}});
}

std::chrono::nanoseconds OverlapAddTime(const DeconvProblem& problem) {
  const Counts n(problem);
  return n.is_planar ? OverlapPlanesTime(n) : OverlapBlocksTime(n);
}

std::chrono::nanoseconds InPlaceMatmulTime(const DeconvProblem& problem) {
  const Counts n(problem);
  const auto& [d, h, w] = n.axes;
  const double width = static_cast<double>(w.in);
  const double calls = n.images * n.inputs / width * n.taps / static_cast<double>(w.kernel);
  const double lanes = WholeVectors(static_cast<double>(w.kernel) * n.filters);
  const double weights = static_cast<double>(w.kernel) * n.filters * n.channels;
  return Sum({{1, 700},
              {calls, 580},
              {weights > kCachedFloats ? calls * weights : 0, kStreamedFloat},
              {calls * width * lanes * n.channels, kMultiplication},
              {n.images * n.output_rows(), 44},
              {n.images * n.outputs * n.filters, 0.2},
              {n.images * n.outputs, 1.7}});
}

std::chrono::nanoseconds WeightStreamTime(const DeconvProblem& problem) {
  constexpr double kRowsPerPanel = 12;
  constexpr double kInputSets = 9;
  const Counts n(problem);
  const double filter_sets = std::ceil(n.filters / 32);
  const double rows = n.useful * n.images * n.inputs;
  const double gathered = rows * n.channels * std::min(n.live_taps, kInputSets);
  const double products = rows * n.taps * filter_sets * n.channels;  // with 32 filters each
  // Weights of bfloat16 are half as long, and take time to widen.
  const bool is_narrow = problem.dtype == DType::kBFloat16;
  // Multiplying hides the weights, or they it.
  const double multiplications =
      std::max(32 * products * kMultiplication * (is_narrow ? 1.5 : 1),
               n.live_taps * filter_sets * 32 * n.channels * kStreamedFloat / (is_narrow ? 2 : 1));
  return Sum({{1, 2000},
              {multiplications, 1},
              {products, 0.04},
              {n.taps * std::ceil(rows / kRowsPerPanel) * filter_sets, 8},
              {n.taps * rows * filter_sets, 3},
              {n.images * n.outputs * filter_sets * 32, 0.37},
              {gathered, 0.3}});
}

// The library's kernels may be anything where strides are not 1, and an image
// that takes longer than it takes to wake a thread is not shared by threads.
std::chrono::nanoseconds DeconvolutionTime(const DeconvProblem& problem) {
  constexpr double kShortMultiplications = 1e6;
  constexpr double kDoubt = 2;
  const Counts n(problem);
  const double multiplications =
      n.useful * n.images * n.inputs * n.taps * WholeVectors(n.filters) * n.channels;
  const bool is_strided = std::any_of(n.axes.begin(), n.axes.end(),
                                      [](const AxisGeometry& axis) { return axis.stride > 1; });
  const double doubt = is_strided || multiplications > kShortMultiplications ? kDoubt : 1;
  const Work weights = n.Weights(n.live_taps);
  return Sum({{1, doubt * 1200},
              {weights.count, doubt * weights.nanoseconds},
              {n.images, doubt * (n.is_planar ? 2000 : 870)},
              {multiplications, doubt * kMultiplication},
              {n.images * n.outputs * n.filters, doubt * (n.is_planar ? 0.8 : 0.33)},
              {n.images * n.outputs, doubt * 0.85}});
}

std::chrono::nanoseconds ReferenceTime(const DeconvProblem& problem) {
  const Counts n(problem);
  return Sum({{n.images * n.inputs * n.taps * n.filters * n.channels, 2},
              {n.images * n.outputs * n.filters, 50}});
}

std::chrono::nanoseconds ConvolutionBackwardTime(const DeconvProblem& problem) {
  const Counts n(problem);
  const double kernel = n.taps * n.filters * n.channels;
  return Sum({{1, 4000},
              {kernel, 0.2},
              {2 * n.images * n.inputs * n.live_taps * n.filters * WholeVectors(n.channels),
               kMultiplication}});
}

std::chrono::nanoseconds WindowMatmulTime(const DeconvProblem& problem) {
  const Counts n(problem);
  const double windows = n.images * n.inputs * n.live_taps * n.filters;
  return Sum(
      {{1, 2000},
       {2 * windows * WholeVectors(n.channels), 1.15 * kMultiplication},
       {windows, 0.15},
       {n.is_planar ? n.images * (n.outputs * n.filters + 2 * n.inputs * n.channels) : 0, 0.4}});
}

std::chrono::nanoseconds ReferenceBackwardTime(const DeconvProblem& problem) {
  return 2 * ReferenceTime(problem);
}

}  // namespace tconv::server
