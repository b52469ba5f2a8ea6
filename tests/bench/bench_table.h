// What the measured times mean: the part of the peak, the bound of each case
// and the ratio to the baseline, as a table, and the targets that were missed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/tensor/dtype.h"
#include "tests/bench/case_cost.h"

namespace tconv::bench {

// Who is measured beside the strategies, which go by their names.
inline constexpr const char* kPlanned = "planned";
inline constexpr const char* kBaseline = "baseline";
inline constexpr const char* kWeightsLimit = "weights";  // reads the weights, no more
inline constexpr const char* kMemoryLimit = "memory";    // reads the input, writes the output
// The case of the peaks, whose contenders go by the name of a dtype.
inline constexpr const char* kPeak = "peak";
inline constexpr int64_t kPeakMatmulSize = 1536;

struct BenchCase {
  std::string name;
  CaseCost cost;
  server::DType dtype = server::DType::kFloat32;
  int64_t filters = 0;
};

// What a time belongs to; written "case/threads/who".
struct BenchKey {
  std::string case_name;
  int threads = 0;
  std::string who;

  std::string ToString() const;
  // REQUIRES: written by ToString().
  static BenchKey Parse(const std::string& text);

  friend auto operator<=>(const BenchKey&, const BenchKey&) = default;
};

class BenchTable {
 public:
  // In the order of printing.
  explicit BenchTable(std::vector<BenchCase> cases) : cases_(std::move(cases)) {}

  // One repetition.
  void Add(const BenchKey& key, const std::string& how, double milliseconds);

  // Markdown; a part for each number of threads. What was not measured is left
  // open.
  std::string ToString() const;

 private:
  struct Series {
    std::string how;
    std::vector<double> milliseconds;
  };
  // The least time in which a case can be computed, and why.
  struct Bound {
    std::string name;
    double milliseconds = 0;
  };

  std::vector<int> ThreadCounts() const;
  // Median; none when it was not measured.
  std::optional<double> TimeOf(const BenchKey& key) const;
  std::optional<double> MatmulGflops(server::DType dtype, int threads) const;
  // Values of 16 bits may be multiplied as float32, where that is faster.
  std::optional<double> PeakGflops(server::DType dtype, int threads) const;
  std::optional<double> PercentOfPeak(const BenchCase& bench_case, int threads) const;
  std::optional<double> RatioToBaseline(const BenchCase& bench_case, int threads) const;
  // The largest of the bounds that were measured.
  std::optional<Bound> BoundOf(const BenchCase& bench_case, int threads) const;
  // How many times the bound the planned strategy takes.
  std::optional<double> TimesBound(const BenchCase& bench_case, int threads) const;
  // The time of the case whose name follows the prefix, over the time of this
  // one; none for cases without the prefix.
  std::optional<double> SpeedupOverPlain(const BenchCase& bench_case, const std::string& prefix,
                                         int threads) const;

  std::string LineOf(const BenchCase& bench_case, int threads) const;
  std::string SummaryOf(int threads) const;
  std::vector<std::string> MissesOf(const BenchCase& bench_case, int threads) const;

  const std::vector<BenchCase> cases_;
  std::map<BenchKey, Series> series_;
};

}  // namespace tconv::bench
