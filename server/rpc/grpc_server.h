// The listening server: our service, health and reflection on some addresses.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"

namespace tconv::server {

struct GrpcServerOptions {
  // "host:port", "[v6]:port" or "unix:/path"; port 0 takes a free one.
  std::vector<std::string> addresses;
  // Of one message, either way. protobuf carries up to 2^31 - 1.
  int64_t max_message_bytes = (int64_t{1} << 31) - 1;
  // Memory for messages that are still on their way in or out; beyond it calls
  // are refused with RESOURCE_EXHAUSTED.
  int64_t max_transport_bytes = int64_t{8} << 30;
  // A connection is asked for a sign of life after this time without one, and
  // has the second time to give it; else its calls end.
  std::chrono::milliseconds keepalive_time = std::chrono::seconds(20);
  std::chrono::milliseconds keepalive_timeout = std::chrono::seconds(10);
  // Connections that ask the server more often than this are closed.
  std::chrono::milliseconds min_ping_interval = std::chrono::seconds(10);
};

// Serves from Start() until Shutdown(). The standard health service answers for
// the server as a whole ("") and for every registered service. Thread-safe.
class GrpcServer {
 public:
  // `service` and `generic`, which gets the methods that `service` does not
  // serve itself, must outlive the server. UNAVAILABLE when an address cannot be
  // listened on. A socket that a killed server left behind is replaced;
  // FAILED_PRECONDITION when another file is in its place.
  static StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                     const std::string& service_name,
                                                     grpc::Service* service,
                                                     grpc::CallbackGenericService* generic);
  // Shuts down at once.
  ~GrpcServer();

  // As given, with the port that was bound in the place of 0.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // From now on health says NOT_SERVING; calls are still taken.
  void StopServing();

  // Takes no more calls, cancels those that still run after `grace` and waits
  // until they have ended.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  GrpcServer(std::unique_ptr<grpc::Server> server, std::vector<std::string> addresses);

  const std::unique_ptr<grpc::Server> server_;
  const std::vector<std::string> addresses_;
};

}  // namespace tconv::server
