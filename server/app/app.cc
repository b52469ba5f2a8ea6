#include "server/app/app.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "server/app/cpu_limit.h"
#include "server/app/drain.h"
#include "server/app/facts.h"
#include "server/compute/strategies.h"
#include "server/store/open_store.h"

namespace tconv::server {
namespace {

// Calls for descriptions are short: a few threads answer them while all
// handlers compute.
constexpr int kReadThreads = 2;
// Handlers that write to the store wait for the disk, and handlers of huge calls
// for their turn beside smaller ones; some more than there are processors keep
// these busy.
constexpr int kSpareHandlers = 6;
// Of an answer, for everything but its tensor.
constexpr int64_t kAnswerOverheadBytes = 16 << 10;

// The folder of the default store is made when it is missing, for nobody named
// it; a folder that somebody named is better corrected than created.
StatusOr<std::string> PrepareDefaultStore() {
  TCONV_ASSIGN_OR_RETURN(const std::string address, DefaultStore());
  const std::filesystem::path file = address.substr(address.find(':') + 1);
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) {
    return MakeError(StatusCode::kFailedPrecondition, "store: cannot create {}: {}",
                     file.parent_path().string(), error.message());
  }
  return address;
}

// Replaces what stands for "depends on the machine", and fits the limits that
// depend on each other.
ServerOptions Resolved(ServerOptions options) {
  if (options.compute_threads == 0) options.compute_threads = UsableCpus();
  if (options.admission.handler_threads == 0) {
    options.admission.handler_threads = options.compute_threads + kSpareHandlers;
  }
  options.host.max_output_bytes = std::min(options.host.max_output_bytes,
                                           options.grpc.max_message_bytes - kAnswerOverheadBytes);
  if (options.strategy == "auto") options.strategy.clear();
  return options;
}

// Health and nothing else, in messages of no size.
GrpcServerOptions ProbeOptions(const std::vector<std::string>& addresses) {
  return {.addresses = addresses,
          .allow_plaintext = true,
          .max_message_bytes = 1 << 10,
          .max_transport_bytes = 16 << 20,
          .has_reflection = false};
}

}  // namespace

StatusOr<std::unique_ptr<App>> App::Start(const ServerOptions& given) {
  ServerOptions options = Resolved(given);
  if (options.store.empty()) {
    TCONV_ASSIGN_OR_RETURN(options.store, PrepareDefaultStore());
  }
  auto app = std::unique_ptr<App>(new App);
  if (!options.access_file.empty()) {
    TCONV_ASSIGN_OR_RETURN(app->access_file_,
                           AccessReloader::Start(options.access_file, app->access_));
  }
  TCONV_ASSIGN_OR_RETURN(app->store_, OpenStore(options.store));
  TCONV_ASSIGN_OR_RETURN(app->pool_, WorkerPool::Make(options.compute_threads));
  TCONV_ASSIGN_OR_RETURN(auto strategies, MakeStrategies(*app->pool_));
  TCONV_ASSIGN_OR_RETURN(app->planner_, Planner::Make(std::move(strategies), options.strategy));
  app->plans_ = std::make_unique<PlanCache>(*app->planner_, options.plan_cache_bytes);
  TCONV_ASSIGN_OR_RETURN(app->host_,
                         LayerHost::Open(*app->store_, *app->plans_, options.host, &app->access_));

  app->memory_ = std::make_unique<SharedMemory>(options.shared_memory);
  app->work_ = std::make_unique<AdmissionQueue>(options.admission, &app->pool_->slots());
  AdmissionLimits reads = options.admission;
  reads.handler_threads = kReadThreads;
  app->reads_ = std::make_unique<AdmissionQueue>(reads);
  app->arrivals_ = std::make_unique<ArrivalWatch>(options.request_arrival);
  app->door_ = std::make_unique<Door>(
      app->access_,
      std::make_shared<Allowance>(
          "the server", AllowanceLimits{.calls_per_second = options.max_calls_per_second}),
      *app->arrivals_);
  app->telemetry_ = std::make_unique<CallTelemetry>(app->metrics_, options.call_telemetry);
  const ServiceContext context = {*app->door_, *app->reads_, *app->work_, *app->telemetry_,
                                  options.grpc.max_message_bytes};
  app->service_ = std::make_unique<TransposedConvServiceImpl>(*app->host_, *app->memory_, context,
                                                              app->generic_methods_);
  app->admin_ = std::make_unique<AdminServiceImpl>(context, app->generic_methods_);
  if (!options.shared_memory_socket.empty()) {
    TCONV_ASSIGN_OR_RETURN(app->segments_,
                           SegmentServer::Start({options.shared_memory_socket}, *app->memory_));
  }
  app->health_ = std::make_unique<ServerHealth>(app->host_->health(), app->access_);
  TCONV_ASSIGN_OR_RETURN(
      app->server_,
      GrpcServer::Start(options.grpc, {.services = {app->service_.get(), app->admin_.get(),
                                                    app->health_->service()},
                                       .generic = &app->generic_methods_}));
  if (!options.probe_addresses.empty()) {
    TCONV_ASSIGN_OR_RETURN(app->probe_server_,
                           GrpcServer::Start(ProbeOptions(options.probe_addresses),
                                             {.services = {app->health_->probe_service()}}));
  }
  AddFacts({*app->host_, *app->plans_, *app->pool_, *app->memory_, *app->reads_, *app->work_},
           options, app->metrics_);
  if (!options.metrics_address.empty()) {
    TCONV_ASSIGN_OR_RETURN(app->metrics_endpoint_,
                           MetricsEndpoint::Start(options.metrics_address, app->metrics_));
  }
  spdlog::info("serving on {} with {} compute threads, {} handlers, strategy {}, store {}",
               fmt::join(app->addresses(), ", "), options.compute_threads,
               options.admission.handler_threads, given.strategy, NameOfStore(options.store));
  return app;
}

CallLoad App::load() const {
  return {reads_->calls() + work_->calls(), reads_->bytes() + work_->bytes()};
}

const std::vector<std::string>& App::probe_addresses() const {
  static const std::vector<std::string> kNone;
  return probe_server_ == nullptr ? kNone : probe_server_->addresses();
}

Status App::Drain(std::chrono::seconds limit, std::chrono::seconds delay) {
  return tconv::server::Drain(
      {.health = *health_, .server = *server_, .queues = {reads_.get(), work_.get()}}, delay,
      limit);
}

}  // namespace tconv::server
