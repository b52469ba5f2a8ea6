#include "client/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <ostream>

#include "client/cli/table.h"

namespace tconv::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kSilence(500);
constexpr milliseconds kInterval(100);
constexpr char kWipeLine[] = "\r\x1b[K";

}  // namespace

Progress::Progress(std::ostream* terminal, std::string label, ProgressUnit unit)
    : terminal_(terminal), label_(std::move(label)), unit_(unit) {
  if (terminal_) drawer_ = std::jthread([this](std::stop_token stop) { DrawUntil(stop); });
}

Progress::~Progress() = default;

void Progress::DrawUntil(std::stop_token stop) {
  const auto start = steady_clock::now();
  std::mutex mutex;
  std::condition_variable_any stopped;
  const auto stops_within = [&](milliseconds time) {
    std::unique_lock lock(mutex);
    return stopped.wait_for(lock, stop, time, [&stop] { return stop.stop_requested(); });
  };
  if (stops_within(kSilence)) return;
  do {
    const auto elapsed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
    *terminal_ << kWipeLine << FormatProgress(label_, unit_, done_, total_, elapsed, note())
               << std::flush;
  } while (!stops_within(kInterval));
  *terminal_ << kWipeLine << std::flush;
}

std::string Progress::note() {
  const std::lock_guard lock(note_mutex_);
  return note_;
}

std::string FormatProgress(std::string_view label, ProgressUnit unit, int64_t done, int64_t total,
                           milliseconds elapsed, std::string_view note) {
  const std::string time = fmt::format("{:.1f} s", static_cast<double>(elapsed.count()) / 1000);
  const std::string end = note.empty() ? "" : fmt::format("  {}", note);
  if (total <= 0) return fmt::format("{}  {}{}", label, time, end);
  constexpr size_t kWidth = 20;
  const double part = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const auto filled = static_cast<size_t>(part * kWidth);
  const std::string amount = unit == ProgressUnit::kBytes
                                 ? fmt::format("{} of {}", FormatBytes(done), FormatBytes(total))
                                 : time;
  return fmt::format("{}  [{}{}] {:3.0f}%  {}{}", label, std::string(filled, '#'),
                     std::string(kWidth - filled, '.'), 100 * part, amount, end);
}

}  // namespace tconv::cli
