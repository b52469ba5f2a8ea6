#include "server/rpc/grpc_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "server/rpc/socket_file.h"

namespace tconv::server {
namespace {

constexpr std::string_view kSocketScheme = "unix:";

void SetMillis(grpc::ServerBuilder& builder, const char* argument, std::chrono::milliseconds time) {
  builder.AddChannelArgument(argument, static_cast<int>(time.count()));
}

// A peer that vanished or stopped reading would otherwise pin its answers for
// good.
void SetKeepalive(grpc::ServerBuilder& builder, const GrpcServerOptions& options) {
  SetMillis(builder, GRPC_ARG_KEEPALIVE_TIME_MS, options.keepalive_time);
  SetMillis(builder, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options.keepalive_timeout);
  SetMillis(builder, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
            options.min_ping_interval);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

// Clients behind a balancer of connections would otherwise stay with the servers
// that they met first.
void SetConnectionAge(grpc::ServerBuilder& builder, const GrpcServerOptions& options) {
  if (options.max_connection_age.count() > 0) {
    SetMillis(builder, GRPC_ARG_MAX_CONNECTION_AGE_MS, options.max_connection_age);
  }
  if (options.max_connection_idle.count() > 0) {
    SetMillis(builder, GRPC_ARG_MAX_CONNECTION_IDLE_MS, options.max_connection_idle);
  }
}

// gRPC adds the plugins that a process has ever asked for, or is only linked to,
// to all of its servers; this one keeps those that it shall have.
class ChosenPlugins final : public grpc::ServerBuilderOption {
 public:
  explicit ChosenPlugins(const GrpcServerOptions& options) : options_(options) {}

  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [this](const auto& plugin) { return !IsChosen(plugin->name()); });
  }

 private:
  bool IsChosen(const std::string& plugin) const {
    return (options_.has_reflection && plugin == "proto_server_reflection") ||
           (options_.has_channelz && plugin == "channelz_service");
  }

  const GrpcServerOptions options_;
};

// Servers have the plugins that are known when they begin to be built.
void MakePluginsKnown(const GrpcServerOptions& options) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (options.has_channelz) grpc::channelz::experimental::InitChannelzService();
}

void SetLimits(grpc::ServerBuilder& builder, const GrpcServerOptions& options) {
  const auto max_message = static_cast<int>(
      std::min<int64_t>(options.max_message_bytes, std::numeric_limits<int>::max()));
  builder.SetMaxReceiveMessageSize(max_message);
  builder.SetMaxSendMessageSize(max_message);
  // The limit of a message applies once it has arrived; the quota applies while
  // it does.
  grpc::ResourceQuota quota("tconv");
  quota.Resize(static_cast<size_t>(options.max_transport_bytes));
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_connection_calls);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE,
                             static_cast<int>(options.max_header_bytes));
  SetMillis(builder, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, options.handshake_timeout);
}

// The last user of the library waits at its end for a thread that may sleep for
// ten seconds after a large answer. A use that never ends spares that.
void KeepLibrary() {
  static const bool is_kept = (grpc_init(), true);
  static_cast<void>(is_kept);
}

std::string WithPort(const std::string& address, int port) {
  constexpr std::string_view kAnyPort = ":0";
  if (!address.ends_with(kAnyPort)) return address;
  return fmt::format("{}:{}", address.substr(0, address.size() - kAnyPort.size()), port);
}

bool IsSocketFile(std::string_view address) { return address.starts_with(kSocketScheme); }

// gRPC itself would take the file away from a server that listens on it.
Status PrepareSocketFile(std::string_view address) {
  if (!IsSocketFile(address)) return OkStatus();
  address.remove_prefix(kSocketScheme.size());
  if (address.starts_with("//")) address.remove_prefix(2);
  return RemoveStaleSocket(std::string(address));
}

}  // namespace

StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                        const GrpcServices& services) {
  TCONV_RETURN_IF_ERROR(CheckExposure(options.addresses, options.tls, options.allow_plaintext));
  KeepLibrary();
  MakePluginsKnown(options);
  grpc::ServerBuilder builder;
  for (grpc::Service* service : services.services) builder.RegisterService(service);
  if (services.generic != nullptr) builder.RegisterCallbackGenericService(services.generic);
  builder.SetOption(std::make_unique<ChosenPlugins>(options));
  SetKeepalive(builder, options);
  SetConnectionAge(builder, options);
  SetLimits(builder, options);
  // Two servers that share a port would each answer half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (!options.tls.certificate.empty()) {
    TCONV_ASSIGN_OR_RETURN(credentials, MakeTlsCredentials(options.tls));
  }
  std::vector<int> ports(options.addresses.size(), -1);
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string& address = options.addresses[i];
    TCONV_RETURN_IF_ERROR(PrepareSocketFile(address));
    builder.AddListeningPort(
        address, IsSocketFile(address) ? grpc::InsecureServerCredentials() : credentials,
        &ports[i]);
  }
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();

  std::vector<std::string> addresses;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i] <= 0) {
      return MakeError(StatusCode::kUnavailable,
                       "cannot listen on {}: it is not an address of this machine, or in use",
                       options.addresses[i]);
    }
    addresses.push_back(WithPort(options.addresses[i], ports[i]));
  }
  if (server == nullptr) return Status(StatusCode::kInternal, "gRPC does not start");
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(server), std::move(addresses)));
}

GrpcServer::GrpcServer(std::unique_ptr<grpc::Server> server, std::vector<std::string> addresses)
    : server_(std::move(server)), addresses_(std::move(addresses)) {}

GrpcServer::~GrpcServer() {
  Shutdown(std::chrono::milliseconds(0));
  if (taking_ended_ == nullptr) return;
  grpc_completion_queue_pluck(taking_ended_, this, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr);
  grpc_completion_queue_shutdown(taking_ended_);
  grpc_completion_queue_destroy(taking_ended_);
}

// gRPC's C++ server stops taking calls and waits for the end of all of them in
// one; its C server, which that one stands on, is told separately.
void GrpcServer::StopTaking() {
  taking_ended_ = grpc_completion_queue_create_for_pluck(nullptr);
  grpc_server_shutdown_and_notify(server_->c_server(), taking_ended_, this);
}

void GrpcServer::Shutdown(std::chrono::milliseconds grace) {
  server_->Shutdown(std::chrono::system_clock::now() + grace);
}

}  // namespace tconv::server
