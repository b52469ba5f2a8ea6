// What the parts of transport_bench share: a layer on a server and in this
// process, times, and process sizes.
#pragma once

#include <tconv/client.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/contenders.h"
#include "tests/support/server_process.h"
#include "tests/support/shape_table.h"

namespace tconv::bench {

using Clock = std::chrono::steady_clock;

inline double Microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// What follows ends the benchmark when it fails, by a std::runtime_error.

void Check(const absl::Status& status, const std::string& what);
void Check(bool is_ok, const std::string& what);

// How long `work` takes.
double MicrosecondsOf(const std::function<bool()>& work);

// A part of what was measured, 0 to 1. REQUIRES: not empty.
double Percentile(std::vector<double> values, double part);

// A problem, written as in tests/data/shapes.txt, with random numbers.
class BenchLayer {
 public:
  explicit BenchLayer(const std::string& line) : row_(testing::ParseShapeRow(line)) {}

  const std::string& name() const { return row_.name; }
  int64_t input_bytes() const;
  int64_t output_bytes() const;
  Shape input_shape() const;
  Tensor Input() const;

  void CreateOn(const Client& client) const;
  // The computation alone, as the planner of `machine` wants it, ready to run.
  // `machine` must outlive it.
  Contender InProcess(const Machine& machine) const;

 private:
  testing::ShapeRow row_;
};

ForwardResult ForwardOrDie(const Client& client, const BenchLayer& layer, const Tensor& input,
                           Transfer transfer = Transfer::kAutomatic);

// A server with an in-memory store.
std::unique_ptr<testing::ServerProcess> StartServer(std::vector<std::string> flags = {});

// Calls `work(thread)` on so many threads until `duration` is over; the times of
// the calls in microseconds, in any order.
std::vector<double> RunForAWhile(int threads, std::chrono::milliseconds duration,
                                 const std::function<void(int thread)>& work);

// The parts; each prints a table.
// `is_pinned`: the targets run on CpuPart::kServers.
void BenchLatency(const std::string& echo_target, const std::string& plain_target, int rounds,
                  bool is_pinned);
void BenchLoad(const std::string& echo_target, std::chrono::milliseconds duration);
void BenchBatching(std::chrono::milliseconds duration);
void BenchMemory();

}  // namespace tconv::bench
