#include "server/app/options.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include <CLI/CLI.hpp>

#include "server/app/option_adder.h"
#include "server/app/parser.h"

namespace tconv::server {
namespace {

constexpr int64_t kMaxThreads = 4096;
constexpr int64_t kMaxBytes = std::numeric_limits<int64_t>::max();

constexpr char kFooter[] =
    R"(Sizes are bytes, or take one of the suffixes K, M, G and T (powers of 1024).

A value comes from the command line, else from the config file, else from the
environment: --max-layers is TCONV_MAX_LAYERS. The file has lines such as
  listen = "127.0.0.1:8501"
with the names of the options without the dashes.

Every address listened on is a line "listening on ADDRESS" on standard output, with
the port that is really bound; the log goes to standard error. SIGTERM and SIGINT
finish the calls that run and end with code 0; a second signal ends at once. Code 2:
an option is wrong. Code 1: the server cannot start, or calls did not finish in time.
)";

void AddServiceOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Service");
  adder
      .Add("listen", options.grpc.addresses, "Addresses: host:port, unix:/path; port 0: a free one")
      ->type_name("ADDRESS")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str(options.grpc.addresses.front());
  adder
      .Add("store", options.store,
           "Where layers live: sqlite:/path, or memory: for throw-away ones")
      ->type_name("STORE")
      ->default_str("in ~/.local/state");
  adder
      .Add("preload", options.preload,
           "Folder of model files: their layers are created, or get the weights of the files, "
           "before the server listens")
      ->type_name("FOLDER");
  adder
      .Add("shared-memory-socket", options.shared_memory_socket,
           "Where clients on this host may hand over memory for their tensors")
      ->type_name("PATH");
}

void AddConnectionOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Connections");
  // Long enough for every purpose, and an int of milliseconds.
  constexpr int64_t kMaxSeconds = 1'000'000;
  adder.AddTime("max-connection-age-seconds", options.grpc.max_connection_age, 0, kMaxSeconds,
                "After which clients are asked to connect anew, give or take a tenth; 0: never");
  adder.AddTime("max-connection-idle-seconds", options.grpc.max_connection_idle, 0, kMaxSeconds,
                "Without a call, after which clients are asked to; 0: never");
  const std::map<std::string, bool> switches = {{"on", true}, {"off", false}};
  adder.AddChoice("reflection", options.grpc.has_reflection, switches,
                  "Describes the services to whom asks: on or off");
  adder.AddChoice("channelz", options.grpc.has_channelz, switches,
                  "Describes connections and calls to whom asks: on or off");
}

void AddHealthOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Health and end");
  adder
      .Add("probe-listen", options.probe_addresses,
           "Addresses where health alone is answered, always without TLS and tokens")
      ->type_name("ADDRESS")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("");
  adder.AddTime("drain-delay-seconds", options.drain_delay, 0, 86'400,
                "For which calls are still taken when the server is told to stop, while health "
                "says that it does");
  adder.AddTime("drain-seconds", options.drain_limit, 0, 86'400,
                "Most seconds, after that, for calls to finish");
}

void AddSecurityOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Security");
  adder
      .Add("tls-cert", options.grpc.tls.certificate,
           "PEM file with the certificate of the server; read again when it changes")
      ->type_name("FILE");
  adder.Add("tls-key", options.grpc.tls.key, "PEM file with its key")->type_name("FILE");
  adder
      .Add("tls-client-ca", options.grpc.tls.client_ca,
           "PEM file: clients need a certificate signed by one of these")
      ->type_name("FILE");
  adder.AddFlag("allow-plaintext", options.grpc.allow_plaintext,
                "Listen beyond loopback without TLS, where something else protects the network");
  adder
      .Add("access-file", options.access_file,
           "JSON file with tenants and tokens; read again when it changes")
      ->type_name("FILE");
}

void AddComputationOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Computation");
  adder.AddNumber("compute-threads", options.compute_threads, 0, kMaxThreads,
                  "Threads that compute; 0: the processors that the process may use");
  adder.Add("strategy", options.strategy, "Only this way to compute, or auto")->type_name("NAME");
  adder.AddSize("plan-cache-bytes", options.plan_cache_bytes, 0, kMaxBytes,
                "Memory for compiled plans and their packed weights, least recently used ones go "
                "first");
}

void AddCallLimits(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Limits of calls");
  adder.AddNumber("handler-threads", options.admission.handler_threads, 0, kMaxThreads,
                  "Calls that are under way at once; 0: compute threads + 6");
  adder.AddNumber("max-queued-calls", options.admission.max_waiting_calls, 0, 1'000'000,
                  "Calls that wait beyond those that run, others are refused");
  adder.AddNumber("max-batch", options.admission.max_batch, 1, 1024,
                  "Calls of a layer that are computed together; 1: each alone");
  adder.AddTime("batch-delay-us", options.admission.batch_delay, 0, 10'000,
                "Most microseconds that a call waits for others to be computed with, while some "
                "are arriving");
  adder.AddSize("max-queued-bytes", options.admission.max_bytes, 1, kMaxBytes,
                "Request bytes of all calls that wait or run, others are refused");
  adder.AddSize("max-idle-tensor-bytes", options.host.max_idle_tensor_bytes, 0, kMaxBytes,
                "Memory of inputs and outputs that is kept for the next calls");
  adder.AddSize("max-stream-bytes", options.host.max_stream_bytes, 1, kMaxBytes,
                "Input and output that one stream has in memory, larger ones are refused");
  adder.AddSize("max-message-bytes", options.grpc.max_message_bytes, 64 << 10,
                std::numeric_limits<int32_t>::max(),
                "One request or answer; the default is all that protobuf can carry");
  adder.AddSize("max-transport-bytes", options.grpc.max_transport_bytes, 1 << 20, kMaxBytes,
                "Messages on their way in or out");
  adder
      .AddNumber("max-calls-per-second", options.max_calls_per_second, 0, kNoLimit,
                 "Calls of all clients together")
      ->default_str("no limit");
  adder.AddNumber("max-connection-calls", options.grpc.max_connection_calls, 1, 1'000'000,
                  "Calls that one connection may have open, others wait in the client");
  adder.AddSize("max-header-bytes", options.grpc.max_header_bytes, 1 << 10, 1 << 20,
                "Metadata of one call");
  adder.AddTime("request-arrival-seconds", options.request_arrival, 1, 86'400,
                "Most seconds for a request, or the next message of a stream, to arrive or be "
                "taken");
  adder.AddSize("max-shared-memory-bytes", options.shared_memory.max_bytes, 1, kMaxBytes,
                "Memory of clients that is mapped, more is refused");
}

void AddLayerLimits(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Limits of layers");
  adder.AddNumber("max-layers", options.host.max_layers, 0, kMaxBytes, "Layers in the store");
  adder.AddSize("max-layer-bytes", options.host.max_layer_bytes, 0, kMaxBytes,
                "Weights of one layer");
  adder.AddSize("max-loaded-weight-bytes", options.host.max_loaded_weight_bytes, 0, kMaxBytes,
                "Weights in memory, least recently used ones go back to the store");
}

void AddLogOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Log");
  adder.Add("log-level", options.log_level, "trace, debug, info, warning, error, critical or off")
      ->type_name("LEVEL");
  adder.AddChoice("log-format", options.log_format,
                  {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}, "text or json");
  adder.AddNumber("access-log-sample", options.call_telemetry.access_log_sample, 0, kMaxBytes,
                  "One of so many reads that succeed has its line at level info; 0: none");
}

void AddMetricsOptions(OptionAdder& adder, ServerOptions& options) {
  adder.BeginGroup("Metrics");
  adder
      .Add("metrics-listen", options.metrics_address,
           "Where Prometheus may GET /metrics, and people the status page, over plain HTTP; port "
           "0: a free one")
      ->type_name("IP:PORT");
  adder.AddNumber("metrics-max-layers", options.call_telemetry.max_layers, 0, 100'000,
                  "Layers with metrics of their own, others are counted together");
}

}  // namespace

StatusOr<std::string> DefaultStore() {
  constexpr char kFile[] = "tconv/layers.db";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return fmt::format("sqlite:{}/{}", state, kFile);
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fmt::format("sqlite:{}/.local/state/{}", home, kFile);
  }
  return Status(StatusCode::kFailedPrecondition,
                "store: no home directory to keep layers in, set --store");
}

void AddOptions(CLI::App& app, ServerOptions& options) {
  app.name("tconv-server");
  app.description("Hosts Keras' transposed-convolution layers behind gRPC.");
  app.footer(kFooter);
  app.set_version_flag("--version", "tconv-server " TCONV_VERSION);
  app.set_config("--config", "", "File with values for the options below")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  OptionAdder adder(app);
  AddServiceOptions(adder, options);
  AddConnectionOptions(adder, options);
  AddHealthOptions(adder, options);
  AddSecurityOptions(adder, options);
  AddComputationOptions(adder, options);
  AddCallLimits(adder, options);
  AddLayerLimits(adder, options);
  AddLogOptions(adder, options);
  AddMetricsOptions(adder, options);
}

StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  ServerOptions options;
  CLI::App app;
  AddOptions(app, options);
  try {
    app.parse(argc, argv);
    RefuseIgnoredEnvironment(app);
  } catch (const CLI::CallForHelp&) {
    return TextToPrint{app.help()};
  } catch (const CLI::CallForVersion& version) {
    return TextToPrint{std::string(version.what()) + "\n"};
  } catch (const CLI::ConfigError& error) {
    return MakeError(StatusCode::kInvalidArgument, "--config: {}", error.what());
  } catch (const CLI::ParseError& error) {
    return Status(StatusCode::kInvalidArgument, error.what());
  }
  return options;
}

}  // namespace tconv::server
