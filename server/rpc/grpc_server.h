// The listening server: services on some addresses.
#pragma once

#include <grpc/grpc.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/rpc/credentials.h"

namespace tconv::server {

struct GrpcServerOptions {
  // "host:port", "[v6]:port" or "unix:/path"; port 0 takes a free one.
  std::vector<std::string> addresses = {"127.0.0.1:8500"};
  // For all addresses but Unix sockets, which do not leave the machine.
  TlsFiles tls;
  // As for CheckExposure().
  bool allow_plaintext = false;
  // Of one message, either way. protobuf carries up to 2^31 - 1.
  int64_t max_message_bytes = (int64_t{1} << 31) - 1;
  // Memory for messages that are still on their way in or out; beyond it calls
  // are refused with RESOURCE_EXHAUSTED.
  int64_t max_transport_bytes = int64_t{8} << 30;
  // Calls that one connection may have open; a client waits with others.
  int max_connection_calls = 1000;
  // Of the metadata of a call, as HTTP/2 counts it.
  int64_t max_header_bytes = 8 << 10;
  // For a connection to be set up, TLS included.
  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(20);
  // A connection is asked for a sign of life after this time without one, and
  // has the second time to give it; else its calls end.
  std::chrono::milliseconds keepalive_time = std::chrono::seconds(20);
  std::chrono::milliseconds keepalive_timeout = std::chrono::seconds(10);
  // Connections that ask the server more often than this are closed.
  std::chrono::milliseconds min_ping_interval = std::chrono::seconds(10);
  // A connection that is so old, give or take a tenth, is asked to be made anew,
  // and so is one without calls for so long; calls on it finish. 0: never.
  std::chrono::seconds max_connection_age = std::chrono::minutes(5);
  std::chrono::seconds max_connection_idle{0};
  // Whether it describes its services, and its connections and calls, to whom asks.
  bool has_reflection = true;
  bool has_channelz = false;
};

// What a server serves; must outlive it.
struct GrpcServices {
  std::vector<grpc::Service*> services;
  // Gets the methods that none of them serves. Null: these are UNIMPLEMENTED.
  grpc::CallbackGenericService* generic = nullptr;
};

// Serves from Start() until Shutdown(). Thread-safe.
class GrpcServer {
 public:
  // Errors of CheckExposure() and MakeTlsCredentials(). UNAVAILABLE when an address
  // cannot be listened on. A socket that a killed server left behind is replaced;
  // FAILED_PRECONDITION when another file is in its place.
  static StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                     const GrpcServices& services);
  // Shuts down at once.
  ~GrpcServer();

  // As given, with the port that was bound in the place of 0.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Listens no longer, sends the clients elsewhere and takes no more calls; those
  // that run go on. Does not wait. To be called once.
  void StopTaking();

  // The same, then cancels the calls that still run after `grace` and waits until
  // they have ended.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  GrpcServer(std::unique_ptr<grpc::Server> server, std::vector<std::string> addresses);

  const std::unique_ptr<grpc::Server> server_;
  const std::vector<std::string> addresses_;
  grpc_completion_queue* taking_ended_ = nullptr;  // since StopTaking()
};

}  // namespace tconv::server
