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

Progress::Progress(std::ostream* terminal, std::string label)
    : terminal_(terminal), label_(std::move(label)) {
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
    *terminal_ << kWipeLine << FormatProgress(label_, done_bytes_, total_bytes_, elapsed)
               << std::flush;
  } while (!stops_within(kInterval));
  *terminal_ << kWipeLine << std::flush;
}

std::string FormatProgress(std::string_view label, int64_t done_bytes, int64_t total_bytes,
                           milliseconds elapsed) {
  if (total_bytes <= 0) {
    return fmt::format("{}  {:.1f} s", label, static_cast<double>(elapsed.count()) / 1000);
  }
  constexpr size_t kWidth = 20;
  const double part =
      std::clamp(static_cast<double>(done_bytes) / static_cast<double>(total_bytes), 0.0, 1.0);
  const auto filled = static_cast<size_t>(part * kWidth);
  return fmt::format("{}  [{}{}] {:3.0f}%  {} of {}", label, std::string(filled, '#'),
                     std::string(kWidth - filled, '.'), 100 * part, FormatBytes(done_bytes),
                     FormatBytes(total_bytes));
}

}  // namespace tconv::cli
