// Progress of a long step, on one line of a terminal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <thread>

namespace tconv::cli {

// Draws from half a second after its construction, so that short steps stay
// silent, and wipes its line when it is destroyed. Advance() may be called from
// any thread; nobody else may write to the terminal meanwhile.
class Progress {
 public:
  // Null: draws nothing. `terminal` must outlive this.
  Progress(std::ostream* terminal, std::string label);
  ~Progress();

  // How far the step is. Before the first call, and with a total of 0, only the
  // time is shown.
  void Advance(int64_t done_bytes, int64_t total_bytes) {
    total_bytes_ = total_bytes;
    done_bytes_ = done_bytes;
  }

 private:
  void DrawUntil(std::stop_token stop);

  std::ostream* const terminal_;
  const std::string label_;
  std::atomic<int64_t> done_bytes_ = 0;
  std::atomic<int64_t> total_bytes_ = 0;
  std::jthread drawer_;
};

// "reading x.npy  [#####...............]  25%  1.0 MiB of 4.0 MiB", without the
// newline; without a total "waiting for the answer  3.2 s".
std::string FormatProgress(std::string_view label, int64_t done_bytes, int64_t total_bytes,
                           std::chrono::milliseconds elapsed);

}  // namespace tconv::cli
