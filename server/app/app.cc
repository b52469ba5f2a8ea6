#include "server/app/app.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "server/app/cpu_limit.h"
#include "server/app/declared.h"
#include "server/app/drain.h"
#include "server/app/facts.h"
#include "server/app/preload.h"
#include "server/app/status_pages.h"
#include "server/compute/backward_strategies.h"
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
  GrpcServerOptions options;
  options.addresses = addresses;
  options.allow_plaintext = true;
  options.max_message_bytes = 1 << 10;
  options.max_transport_bytes = 16 << 20;
  options.has_reflection = false;
  return options;
}

}  // namespace

StatusOr<std::unique_ptr<App>> App::Start(const ServerOptions& given) {
  ServerOptions options = Resolved(given);
  if (options.store.empty()) {
    TCONV_ASSIGN_OR_RETURN(options.store, PrepareDefaultStore());
  }
  Declared declared;
  if (!options.preload.empty()) {
    TCONV_ASSIGN_OR_RETURN(declared, ReadDeclared(options.preload));
  }
  auto app = std::unique_ptr<App>(new App);
  TCONV_RETURN_IF_ERROR(app->OpenHost(options));
  TCONV_RETURN_IF_ERROR(Preload(declared, *app->host_));
  TCONV_RETURN_IF_ERROR(app->OpenDoor(options));
  app->MakeServices(options);
  TCONV_RETURN_IF_ERROR(app->Listen(options));
  spdlog::info("serving on {} with {} compute threads, {} handlers, strategy {}, store {}",
               fmt::join(app->addresses(), ", "), options.compute_threads,
               options.admission.handler_threads, given.strategy, NameOfStore(options.store));
  return app;
}

Status App::OpenHost(const ServerOptions& options) {
  TCONV_ASSIGN_OR_RETURN(store_, OpenStore(options.store));
  TCONV_ASSIGN_OR_RETURN(pool_, WorkerPool::Make(options.compute_threads));
  TCONV_ASSIGN_OR_RETURN(auto strategies, MakeStrategies(*pool_));
  TCONV_ASSIGN_OR_RETURN(planner_, Planner::Make(std::move(strategies), options.strategy));
  plans_ = std::make_unique<PlanCache>(*planner_, options.plan_cache_bytes);
  TCONV_ASSIGN_OR_RETURN(auto backward_strategies, MakeBackwardStrategies(*pool_));
  backward_planner_ = std::make_unique<BackwardPlanner>(std::move(backward_strategies));
  backward_plans_ = std::make_unique<BackwardPlanCache>(*backward_planner_);
  TCONV_ASSIGN_OR_RETURN(host_, LayerHost::Open(*store_, *plans_, *pool_, options.host, &access_));
  training_ = host_->MakeTraining(*backward_plans_, *pool_);
  memory_ = std::make_unique<SharedMemory>(options.shared_memory);
  return OkStatus();
}

Status App::OpenDoor(const ServerOptions& options) {
  if (!options.access_file.empty()) {
    TCONV_ASSIGN_OR_RETURN(access_file_, AccessReloader::Start(options.access_file, access_));
  }
  work_ = std::make_unique<AdmissionQueue>(options.admission, &pool_->slots());
  AdmissionLimits reads = options.admission;
  reads.handler_threads = kReadThreads;
  reads_ = std::make_unique<AdmissionQueue>(reads);
  arrivals_ = std::make_unique<ArrivalWatch>(options.request_arrival);
  const AllowanceLimits all_calls = {.calls_per_second = options.max_calls_per_second};
  door_ = std::make_unique<Door>(access_, std::make_shared<Allowance>("the server", all_calls),
                                 *arrivals_);
  return OkStatus();
}

void App::MakeServices(const ServerOptions& options) {
  telemetry_ = std::make_unique<CallTelemetry>(metrics_, options.call_telemetry);
  const ServiceContext context = {*door_, *reads_, *work_, *telemetry_,
                                  options.grpc.max_message_bytes};
  service_ =
      std::make_unique<TransposedConvServiceImpl>(*host_, *memory_, context, generic_methods_);
  training_service_ =
      std::make_unique<TrainingServiceImpl>(*host_, *training_, context, generic_methods_);
  chain_service_ = std::make_unique<ChainServiceImpl>(*host_, context, generic_methods_);
  admin_ = std::make_unique<AdminServiceImpl>(context, generic_methods_);
  health_ = std::make_unique<ServerHealth>(host_->health(), access_);
  inference_service_ =
      std::make_unique<InferenceServiceImpl>(*host_, *health_, context, generic_methods_);
  AddFacts({*host_, *plans_, *backward_plans_, *pool_, *memory_, *reads_, *work_}, options,
           metrics_);
}

Status App::Listen(const ServerOptions& options) {
  if (!options.shared_memory_socket.empty()) {
    TCONV_ASSIGN_OR_RETURN(segments_,
                           SegmentServer::Start({options.shared_memory_socket}, *memory_));
  }
  TCONV_ASSIGN_OR_RETURN(
      server_,
      GrpcServer::Start(options.grpc,
                        {.services = {service_.get(), training_service_.get(), chain_service_.get(),
                                      admin_.get(), inference_service_.get(), health_->service()},
                         .generic = &generic_methods_}));
  if (!options.probe_addresses.empty()) {
    TCONV_ASSIGN_OR_RETURN(probe_server_,
                           GrpcServer::Start(ProbeOptions(options.probe_addresses),
                                             {.services = {health_->probe_service()}}));
  }
  if (!options.metrics_address.empty()) {
    TCONV_ASSIGN_OR_RETURN(metrics_endpoint_, HttpEndpoint::Start(options.metrics_address,
                                                                  StatusPages(*host_, metrics_)));
  }
  return OkStatus();
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
