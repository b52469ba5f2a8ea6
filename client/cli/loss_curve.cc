#include "client/cli/loss_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tconv::cli {
namespace {

// Where the plot is in the drawing, in pixels.
constexpr double kWidth = 720, kHeight = 400;
constexpr double kLeft = 84, kRight = 700, kTop = 48, kBottom = 346;

constexpr char kInk[] = "#57606a", kGrid[] = "#8b949e55";
constexpr char kFaintCurve[] = "#2f81f766", kCurve[] = "#2f81f7";

// A round distance of ticks, of which about five fit: 1, 2 or 5 times a power of ten.
double TickDistance(double range) {
  const double rough = range / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10 * power;
}

// Values of an axis that begins at zero, and where they are in the drawing.
class Axis {
 public:
  Axis(double largest, double zero_at, double end_at)
      : distance_(TickDistance(largest)),
        end_(distance_ * std::ceil(largest / distance_)),
        zero_at_(zero_at),
        end_at_(end_at) {}

  double At(double value) const { return zero_at_ + (end_at_ - zero_at_) * value / end_; }

  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    const auto last = std::lround(end_ / distance_);
    for (int64_t i = 0; i <= last; ++i) ticks.push_back(static_cast<double>(i) * distance_);
    return ticks;
  }

 private:
  const double distance_, end_, zero_at_, end_at_;
};

std::string Text(double x, double y, const std::string& text, const char* attributes) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, text);
}

std::string Grid(const Axis& steps, const Axis& losses) {
  std::string svg;
  for (const double tick : losses.Ticks()) {
    const double y = losses.At(tick);
    svg += fmt::format("<path d=\"M{} {:.1f}H{}\" stroke=\"{}\"/>\n", kLeft, y, kRight, kGrid);
    svg += Text(kLeft - 8, y + 4, fmt::format("{:g}", tick), "text-anchor=\"end\"");
  }
  for (const double tick : steps.Ticks()) {
    const double x = steps.At(tick);
    svg += fmt::format("<path d=\"M{:.1f} {}V{}\" stroke=\"{}\"/>\n", x, kTop, kBottom, kGrid);
    svg += Text(x, kBottom + 18, fmt::format("{:g}", tick), "text-anchor=\"middle\"");
  }
  return svg;
}

std::string Line(const std::vector<double>& losses, const Axis& x, const Axis& y, const char* color,
                 double width) {
  std::string points;
  for (size_t i = 0; i < losses.size(); ++i) {
    if (!std::isfinite(losses[i])) continue;
    points += fmt::format("{:.1f},{:.1f} ", x.At(static_cast<double>(i + 1)), y.At(losses[i]));
  }
  return fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" "
      "stroke-linejoin=\"round\"/>\n",
      points, color, width);
}

// The mean of each value and of its neighbors, a fortieth of all.
std::vector<double> Smooth(const std::vector<double>& values) {
  const size_t reach = values.size() / 80;
  std::vector<double> means;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t first = i - std::min(i, reach);
    const size_t last = std::min(i + reach + 1, values.size());
    double sum = 0;
    for (size_t k = first; k < last; ++k) sum += values[k];
    means.push_back(sum / static_cast<double>(last - first));
  }
  return means;
}

double LargestFinite(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, value);
  }
  return largest > 0 ? largest : 1;
}

}  // namespace

std::string DrawLossCurve(const std::vector<double>& losses, const std::string& title) {
  const Axis x(std::max<double>(1, static_cast<double>(losses.size())), kLeft, kRight);
  const Axis y(LargestFinite(losses), kBottom, kTop);
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
             "height=\"{1}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\" "
             "fill=\"{2}\">\n<title>{3}</title>\n",
             kWidth, kHeight, kInk, title) +
         Text((kLeft + kRight) / 2, kTop - 20, title, "text-anchor=\"middle\" font-size=\"15\"") +
         Grid(x, y) + Line(losses, x, y, kFaintCurve, 1) + Line(Smooth(losses), x, y, kCurve, 2.5) +
         Text((kLeft + kRight) / 2, kBottom + 42, "step", "text-anchor=\"middle\"") +
         Text(0, 0, "loss (mean squared error)",
              fmt::format("text-anchor=\"middle\" transform=\"translate(20 {}) rotate(-90)\"",
                          (kTop + kBottom) / 2)
                  .c_str()) +
         "</svg>\n";
}

}  // namespace tconv::cli
