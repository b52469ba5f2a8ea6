#include "server/app/options.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

namespace tconv::server {
namespace {

constexpr int64_t kMaxThreads = 4096;
constexpr int64_t kMaxBytes = std::numeric_limits<int64_t>::max();

constexpr char kFooter[] =
    R"(Sizes are bytes, or take one of the suffixes K, M, G and T (powers of 1024).

A value comes from the command line, else from the config file, else from the
environment: --max-layers is TCONV_MAX_LAYERS. The file has lines such as
  listen = "0.0.0.0:8500"
with the names of the options without the dashes.

Every address listened on is a line "listening on ADDRESS" on standard output, with
the port that is really bound; the log goes to standard error. SIGTERM and SIGINT
finish the calls that run and end with code 0; a second signal ends at once. Code 2:
an option is wrong. Code 1: the server cannot start, or calls did not finish in time.
)";

// "--max-layers" is also TCONV_MAX_LAYERS.
std::string EnvironmentName(std::string option) {
  for (char& c : option) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return "TCONV_" + option;
}

std::string SizeText(int64_t bytes) {
  constexpr std::string_view kSuffixes = "KMGT";
  std::string suffix;
  for (const char next : kSuffixes) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    suffix = next;
  }
  return std::to_string(bytes) + suffix;
}

// One line for each option: its name, the kind of its value, [the default].
class OneLineFormatter : public CLI::Formatter {
 public:
  OneLineFormatter() { column_width(42); }

  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = " " + option->get_type_name();
    if (!option->get_default_str().empty()) text += " [" + option->get_default_str() + "]";
    return text;
  }
};

// Adds options in groups; the default of each is what its variable holds.
class OptionAdder {
 public:
  explicit OptionAdder(CLI::App& app) : app_(app) {}

  void BeginGroup(std::string name) { group_ = std::move(name); }

  template <typename T>
  CLI::Option* Add(const std::string& name, T& value, const std::string& help) {
    return app_.add_option("--" + name, value, help)
        ->envname(EnvironmentName(name))
        ->group(group_)
        ->capture_default_str();
  }

  template <typename T>
  void AddNumber(const std::string& name, T& value, int64_t least, int64_t most,
                 const std::string& help) {
    Add(name, value, help)->check(CLI::Range(least, most).description(""))->type_name("NUMBER");
  }

  void AddSize(const std::string& name, int64_t& value, int64_t least, int64_t most,
               const std::string& help) {
    Add(name, value, help)
        ->transform(CLI::AsSizeValue(false).description(""))
        ->check(CLI::Range(least, most).description(""))
        ->type_name("SIZE")
        ->default_str(SizeText(value));
  }

 private:
  CLI::App& app_;
  std::string group_;
};

// Values that the options hold in another type.
struct RawValues {
  int64_t drain_seconds = 30;
  int64_t batch_delay_us = 0;
  std::string log_format = "text";
};

void AddOptions(CLI::App& app, ServerOptions& options, RawValues& raw) {
  OptionAdder adder(app);
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
      .Add("shared-memory-socket", options.shared_memory_socket,
           "Where clients on this host may hand over memory for their tensors")
      ->type_name("PATH");
  adder.AddNumber("drain-seconds", raw.drain_seconds, 0, 86'400,
                  "Most seconds for calls to finish when the server is told to stop");

  adder.BeginGroup("Computation");
  adder.AddNumber("compute-threads", options.compute_threads, 0, kMaxThreads,
                  "Threads that compute; 0: the processors that the process may use");
  adder.Add("strategy", options.strategy, "Only this way to compute, or auto")->type_name("NAME");
  adder.AddSize("plan-cache-bytes", options.plan_cache_bytes, 0, kMaxBytes,
                "Memory for compiled plans and their packed weights, least recently used ones go "
                "first");

  adder.BeginGroup("Limits of calls");
  adder.AddNumber("handler-threads", options.admission.handler_threads, 0, kMaxThreads,
                  "Calls that are under way at once; 0: compute threads + 6");
  adder.AddNumber("max-queued-calls", options.admission.max_waiting_calls, 0, 1'000'000,
                  "Calls that wait beyond those that run, others are refused");
  adder.AddNumber("max-batch", options.admission.max_batch, 1, 1024,
                  "Calls of a layer that are computed together; 1: each alone");
  adder.AddNumber("batch-delay-us", raw.batch_delay_us, 0, 10'000,
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

  adder.AddSize("max-shared-memory-bytes", options.shared_memory.max_bytes, 1, kMaxBytes,
                "Memory of clients that is mapped, more is refused");

  adder.BeginGroup("Limits of layers");
  adder.AddNumber("max-layers", options.host.max_layers, 0, kMaxBytes, "Layers in the store");
  adder.AddSize("max-layer-bytes", options.host.max_layer_bytes, 0, kMaxBytes,
                "Weights of one layer");
  adder.AddSize("max-loaded-weight-bytes", options.host.max_loaded_weight_bytes, 0, kMaxBytes,
                "Weights in memory, least recently used ones go back to the store");

  adder.BeginGroup("Log");
  adder.Add("log-level", options.log_level, "trace, debug, info, warning, error, critical or off")
      ->type_name("LEVEL");
  adder.Add("log-format", raw.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("FORMAT");
}

// CLI11 passes over a value in the environment that fails its check, from 2.4 on.
void RefuseIgnoredEnvironment(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string variable = option->get_envname();
    const char* value = variable.empty() ? nullptr : std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0' || option->count() > 0) continue;
    throw CLI::ValidationError(option->get_name(),
                               fmt::format("{} has the wrong value \"{}\"", variable, value));
  }
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

StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  ServerOptions options;
  RawValues raw;
  CLI::App app("Hosts Keras' transposed-convolution layers behind gRPC.", "tconv-server");
  app.formatter(std::make_shared<OneLineFormatter>());
  app.footer(kFooter);
  app.set_version_flag("--version", "tconv-server " TCONV_VERSION);
  app.set_config("--config", "", "File with values for the options below")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  AddOptions(app, options, raw);
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
  options.admission.batch_delay = std::chrono::microseconds(raw.batch_delay_us);
  options.drain_limit = std::chrono::seconds(raw.drain_seconds);
  options.log_format = raw.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  return options;
}

}  // namespace tconv::server
