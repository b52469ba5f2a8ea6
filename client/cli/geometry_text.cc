#include "client/cli/geometry_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "client/cli/display_width.h"
#include "client/cli/terminal_colors.h"

namespace tconv::cli {
namespace {

constexpr int64_t kMostCharacters = 96;
constexpr int64_t kMostRows = 32;
constexpr size_t kMostPlanes = 4;
constexpr size_t kLabelWidth = 10;
constexpr char kCut[] = " ...";

size_t Digits(int64_t number) { return std::to_string(number).size(); }

// Numbers side by side, with a space in between unless all of them have one digit.
size_t CellWidth(int64_t largest) { return largest < 10 ? 1 : Digits(largest) + 1; }

std::vector<int64_t> CoverageOf(const Footprint& footprint, int64_t most) {
  std::vector<int64_t> coverage;
  for (int64_t position = 0; position < std::min(footprint.out, most); ++position) {
    coverage.push_back(footprint.Coverage(position));
  }
  return coverage;
}

int64_t Largest(const std::vector<int64_t>& numbers) {
  return numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
}

// The darker, the more: a bar of that height, or a character with that much ink.
std::string Shade(int64_t count, int64_t most, Drawing drawing) {
  static const std::vector<std::string> kBars = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static const std::vector<std::string> kInk = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
  const auto& shades = drawing == Drawing::kColors ? kBars : kInk;
  const auto steps = static_cast<int64_t>(shades.size()) - 1;
  return shades[static_cast<size_t>(most == 0 ? 0 : count * steps / most)];
}

// One line over all places, with a bar at both ends of the output.
class AxisLine {
 public:
  AxisLine(const Footprint& footprint, size_t width)
      : width_(width),
        begin_(footprint.crop_begin),
        end_(footprint.crop_begin + footprint.out),
        places_(std::max((footprint.in - 1) * footprint.stride + footprint.reach(), end_)),
        drawn_(std::min(places_, kMostCharacters / static_cast<int64_t>(width))) {}

  // With what cell(place, is_output) says.
  template <typename Cell>
  std::string Draw(const std::string& label, Cell cell) const {
    std::string line = fmt::format("  {:<{}}", label, kLabelWidth);
    for (int64_t place = 0; place <= drawn_; ++place) {
      if (place == begin_ || place == end_) line += '|';
      if (place == drawn_) break;
      const std::string text = cell(place, place >= begin_ && place < end_);
      line.append(width_ - DisplayWidth(text), ' ');
      line += text;
    }
    if (drawn_ < places_) line += kCut;
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
  }

 private:
  const size_t width_;
  const int64_t begin_, end_, places_, drawn_;
};

std::string Range(int64_t first, int64_t count) {
  return count == 1 ? std::to_string(first) : fmt::format("{}-{}", first, first + count - 1);
}

// Positions as runs: "0-2, 5".
std::string FormatPositions(const std::vector<int64_t>& positions) {
  std::vector<std::string> runs;
  for (size_t i = 0; i < positions.size();) {
    size_t end = i + 1;
    while (end < positions.size() && positions[end] == positions[end - 1] + 1) ++end;
    runs.push_back(Range(positions[i], static_cast<int64_t>(end - i)));
    i = end;
  }
  return fmt::format("{}", fmt::join(runs, ", "));
}

// The products of what each row and each column gets, `depth` times.
std::string DrawPlane(const std::vector<int64_t>& rows, const std::vector<int64_t>& columns,
                      int64_t depth, bool is_cut, Drawing drawing) {
  const int64_t most = Largest(rows) * Largest(columns) * depth;
  const size_t width = Digits(most) + 1;
  std::string text;
  for (const int64_t row : rows) {
    text += "  ";
    for (const int64_t column : columns) {
      const int64_t count = row * column * depth;
      const std::string cell = fmt::format("{:>{}}", count, width);
      const double share = most == 0 ? 0 : static_cast<double>(count) / static_cast<double>(most);
      text += drawing == Drawing::kColors ? OnGray(cell + ' ', share) : cell;
    }
    text += is_cut ? std::string(kCut) + "\n" : "\n";
  }
  return text;
}

}  // namespace

std::vector<std::string> AxisNames(size_t spatial_rank) {
  if (spatial_rank == 1) return {"length"};
  std::vector<std::string> names = {"depth", "height", "width"};
  names.erase(names.begin(), names.end() - static_cast<ptrdiff_t>(spatial_rank));
  return names;
}

std::string DrawAxis(const std::string& name, const Footprint& footprint, Drawing drawing) {
  const std::vector<int64_t> coverage = CoverageOf(footprint, kMostCharacters);
  const int64_t most = Largest(coverage);
  const AxisLine line(footprint, CellWidth(std::max(footprint.kernel - 1, most)));
  const auto covered = [&](int64_t place) {
    return coverage[static_cast<size_t>(place - footprint.crop_begin)];
  };
  std::string text = fmt::format("{}: {} inputs, {} outputs; the taps of each input by number\n",
                                 name, footprint.in, footprint.out);
  for (int64_t input = 0; input < footprint.in; ++input) {
    text += line.Draw(fmt::format("input {}", input), [&](int64_t place, bool is_output) {
      const std::optional<int64_t> tap = footprint.TapAt(input, place);
      return tap ? std::to_string(*tap) : std::string(is_output ? "." : " ");
    });
  }
  text += line.Draw("taps", [&](int64_t place, bool is_output) {
    return is_output ? std::to_string(covered(place)) : std::string(" ");
  });
  text += line.Draw("", [&](int64_t place, bool is_output) {
    return is_output ? Shade(covered(place), most, drawing) : std::string(" ");
  });
  return text;
}

std::string DrawCoverage(const std::vector<Footprint>& axes, Drawing drawing) {
  if (axes.size() < 2) return "";
  const Footprint& height = axes[axes.size() - 2];
  const Footprint& width = axes.back();
  // At least two characters for each number.
  const int64_t most_columns = kMostCharacters / 4;
  const std::vector<int64_t> rows = CoverageOf(height, kMostRows);
  const std::vector<int64_t> columns = CoverageOf(width, most_columns);
  const bool is_cut = width.out > most_columns;
  if (axes.size() == 2) {
    return "taps of each output\n" + DrawPlane(rows, columns, 1, is_cut, drawing);
  }
  std::map<int64_t, std::vector<int64_t>, std::greater<>> planes;
  const std::vector<int64_t> depths = CoverageOf(axes.front(), kMostRows);
  for (size_t depth = 0; depth < depths.size(); ++depth) {
    planes[depths[depth]].push_back(static_cast<int64_t>(depth));
  }
  std::string text;
  size_t drawn = 0;
  for (const auto& [taps, positions] : planes) {
    if (drawn++ == kMostPlanes) return text + "...\n";
    text += fmt::format("taps of each output at depth {}\n", FormatPositions(positions));
    text += DrawPlane(rows, columns, taps, is_cut, drawing);
  }
  return text;
}

}  // namespace tconv::cli
