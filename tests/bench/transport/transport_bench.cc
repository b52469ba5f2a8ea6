// What it costs to call a layer over the network: latency, throughput, batching
// and memory, beside what gRPC costs alone and what the computation costs alone.
//
//   transport_bench                      # everything
//   transport_bench --part latency --rounds 20
//   transport_bench --part latency --pin # steadier for short calls
//
// Servers are processes of their own, on loopback. Markdown comes out.
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>

#include "tests/bench/transport/cpus.h"
#include "tests/bench/transport/peer_server.h"
#include "tests/bench/transport/stage.h"

namespace tconv::bench {
namespace {

int Main(int argc, char** argv) {
  std::string part = "all";
  int rounds = 10;
  int64_t milliseconds = 2000;
  bool is_pinned = false;
  CLI::App app("Measures tconv's transport.");
  app.add_option("--part", part, "latency, load, batching, memory or all")
      ->check(CLI::IsMember({"latency", "load", "batching", "memory", "all"}))
      ->capture_default_str();
  app.add_option("--rounds", rounds, "Rounds of the latency part")->capture_default_str();
  app.add_option("--milliseconds", milliseconds, "Of each turn of the other parts")
      ->capture_default_str();
  app.add_flag("--pin", is_pinned, "Servers and callers on processors of their own");
  CLI11_PARSE(app, argc, argv);

  if (is_pinned) RunOn(CpuPart::kServers);
  // First, for they fork.
  const PeerServer echo(PeerKind::kEcho);
  const PeerServer plain(PeerKind::kPlain);
  const std::chrono::milliseconds turn(milliseconds);
  if (is_pinned && part != "latency") {
    std::fprintf(stderr, "transport_bench: --pin is for --part latency\n");
    return 2;
  }
  const auto is_wanted = [&](const char* name) { return part == name || part == "all"; };
  try {
    if (is_wanted("latency")) BenchLatency(echo.target(), plain.target(), rounds, is_pinned);
    if (is_wanted("load")) BenchLoad(echo.target(), turn);
    if (is_wanted("batching")) BenchBatching(turn);
    if (is_wanted("memory")) BenchMemory();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transport_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tconv::bench

int main(int argc, char** argv) { return tconv::bench::Main(argc, argv); }
