#include "tests/bench/transport/stage.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "server/wire/layer_codec.h"

namespace tconv::bench {
namespace {

// Not an exit: servers that were started have to end.
[[noreturn]] void Die(const std::string& message) { throw std::runtime_error(message); }

int64_t BytesOf(const server::DeconvProblem& problem, const server::Shape& shape) {
  return shape.num_elements() * static_cast<int64_t>(server::SizeOf(problem.dtype));
}

}  // namespace

double MicrosecondsOf(const std::function<bool()>& work) {
  const auto begin = Clock::now();
  Check(work(), "a call");
  return Microseconds(Clock::now() - begin);
}

double Percentile(std::vector<double> values, double part) {
  const auto index =
      std::min(values.size() - 1, static_cast<size_t>(part * static_cast<double>(values.size())));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(index),
                   values.end());
  return values[index];
}

void Check(const absl::Status& status, const std::string& what) {
  if (!status.ok()) Die(what + ": " + status.ToString());
}

void Check(bool is_ok, const std::string& what) {
  if (!is_ok) Die(what + " failed");
}

int64_t BenchLayer::input_bytes() const { return BytesOf(row_.problem, row_.problem.src_shape()); }

int64_t BenchLayer::output_bytes() const { return BytesOf(row_.problem, row_.problem.dst_shape()); }

Shape BenchLayer::input_shape() const {
  const server::Shape shape = row_.problem.src_shape();
  return Shape(shape.dims().begin(), shape.dims().end());
}

Tensor BenchLayer::Input() const {
  const server::Tensor random =
      testing::RandomTensor(row_.problem.src_shape(), server::DType::kFloat32, 1);
  return *Tensor::FromValues<float>(input_shape(), random.view().values<float>());
}

void BenchLayer::CreateOn(const Client& client) const {
  Check(client
            .Create({.name = name(),
                     .definition = server::ToProto(row_.config),
                     .input_shape = input_shape()})
            .status(),
        "Create");
}

Contender BenchLayer::InProcess(const Machine& machine) const {
  const auto choice = machine.planner->Choose(row_.problem);
  if (!choice.ok()) Die("no plan for " + row_.line);
  auto contender = MakePlanContender(*choice->strategy, row_);
  if (!contender.ok()) Die("no plan for " + row_.line);
  return *std::move(contender);
}

ForwardResult ForwardOrDie(const Client& client, const BenchLayer& layer, const Tensor& input,
                           Transfer transfer) {
  auto result = client.Forward(layer.name(), input, {.transfer = transfer});
  Check(result.status(), "Forward");
  return *std::move(result);
}

std::unique_ptr<testing::ServerProcess> StartServer(std::vector<std::string> flags) {
  flags.push_back("--store=memory:");
  flags.push_back("--log-level=error");
  auto server = std::make_unique<testing::ServerProcess>(std::move(flags));
  if (server->target().empty()) Die("the server does not start");
  return server;
}

std::vector<double> RunForAWhile(int threads, std::chrono::milliseconds duration,
                                 const std::function<void(int)>& work) {
  std::mutex mutex;
  std::vector<double> all;
  std::exception_ptr failure;
  const auto end = Clock::now() + duration;
  std::vector<std::thread> workers;
  for (int thread = 0; thread < threads; ++thread) {
    workers.emplace_back([&, thread] {
      std::vector<double> times;
      std::exception_ptr error;
      try {
        for (auto begin = Clock::now(); begin < end;) {
          work(thread);
          const auto now = Clock::now();
          times.push_back(Microseconds(now - begin));
          begin = now;
        }
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      all.insert(all.end(), times.begin(), times.end());
      if (error) failure = error;
    });
  }
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  return all;
}

}  // namespace tconv::bench
