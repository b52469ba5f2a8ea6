// Progress of a long step, on one line of a terminal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace tconv::cli {

// What the numbers of a progress count.
enum class ProgressUnit {
  kBytes,
  // Parts of the whole, which say nothing by themselves: the time is shown.
  kParts,
};

// Draws from half a second after its construction, so that short steps stay
// silent, and wipes its line when it is destroyed. Advance() may be called from
// any thread; nobody else may write to the terminal meanwhile.
class Progress {
 public:
  // Null: draws nothing. `terminal` must outlive this.
  Progress(std::ostream* terminal, std::string label, ProgressUnit unit = ProgressUnit::kBytes);
  ~Progress();

  // How far the step is. Before the first call, and with a total of 0, only the
  // time is shown.
  void Advance(int64_t done, int64_t total) {
    total_ = total;
    done_ = done;
  }
  // What is shown behind the numbers from now on. From any thread.
  void SetNote(std::string note) {
    const std::lock_guard lock(note_mutex_);
    note_ = std::move(note);
  }

 private:
  void DrawUntil(std::stop_token stop);
  std::string note();

  std::ostream* const terminal_;
  const std::string label_;
  const ProgressUnit unit_;
  std::atomic<int64_t> done_ = 0;
  std::atomic<int64_t> total_ = 0;
  std::mutex note_mutex_;
  std::string note_;
  std::jthread drawer_;
};

// "reading x.npy  [#####...............]  25%  1.0 MiB of 4.0 MiB", without the
// newline; in parts "measuring  [#####...............]  25%  1.3 s"; without a
// total "waiting for the answer  3.2 s". The note, if there is one, at the end.
std::string FormatProgress(std::string_view label, ProgressUnit unit, int64_t done, int64_t total,
                           std::chrono::milliseconds elapsed, std::string_view note = {});

}  // namespace tconv::cli
