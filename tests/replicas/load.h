// Callers that never stop, and never trust an answer.
#pragma once

#include <absl/status/status.h>
#include <tconv/client.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "tests/replicas/ledger.h"

namespace tconv::testing {

// What became of the calls.
struct Figures {
  int64_t forwards = 0;   // that were answered
  int64_t wrong = 0;      // of these: not what the weights of that version make
  int64_t stale = 0;      // of these: older than the caller asked for
  int64_t failed = 0;     // after all attempts of the client
  int64_t writes = 0;     // that were acknowledged
  int64_t conflicts = 0;  // refused because another writer came first
  int64_t refused = 0;    // writes that met no store, or whose answer is unknown
  int64_t lost = 0;       // acknowledged and not there
  double median_ms = 0;   // of a Forward
  double worst_ms = 0;
  std::map<std::string, int64_t> errors;  // of failed calls, by message
};

// Readers and writers of a few layers, each with one of some clients. A writer
// sets the next version with a kernel of its own value, so that the output of a
// Forward shows which write its weights come from. Every other reader asks for the
// latest version that any writer has an answer about.
class Load {
 public:
  // Creates the layers and starts the callers. There are as many writers as
  // clients, and `readers` for each.
  Load(std::vector<Client> clients, int readers);
  ~Load() { Stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Waits until so many more calls of Forward, and of SetWeights, have succeeded.
  // False: they have not within two minutes.
  bool AwaitProgress(int64_t forwards, int64_t writes);

  // Ends the callers and looks for what they have written.
  Figures Stop();

 private:
  void Read(const Client& client, int number);
  void Write(const Client& client, int number);
  void WriteOnce(const Client& client, const std::string& layer, int number);
  // Asks what the weights are, after a write that may have happened or not.
  void Learn(const Client& client, const std::string& layer);
  void Acknowledge(const std::string& layer, int64_t version, float value);
  // Whether the output is what its weights make of the input.
  bool IsRight(const std::string& layer, const ForwardResult& answer) const;
  void CheckLastWrites();
  void Count(int64_t Figures::*figure);
  void NoteFailure(const absl::Status& status);
  void NoteAnswer(bool is_right, bool is_stale, std::chrono::steady_clock::duration time);

  const std::vector<Client> clients_;
  Ledger ledger_;
  std::atomic<bool> is_stopping_{false};
  server::Mutex mutex_;
  server::CondVar progress_;
  Figures figures_ TCONV_GUARDED_BY(mutex_);
  std::vector<double> latencies_ms_ TCONV_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace tconv::testing
