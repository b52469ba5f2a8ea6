#include "tests/bench/transport/peer_server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace tconv::bench {
namespace {

class EchoCall final : public grpc::ServerGenericBidiReactor {
 public:
  EchoCall() { StartRead(&message_); }

  void OnReadDone(bool is_read) override {
    if (!is_read) return Finish(grpc::Status::CANCELLED);
    StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class EchoService final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new EchoCall;
  }
};

class PlainService final : public v1::TransposedConvService::Service {
 public:
  grpc::Status Forward(grpc::ServerContext*, const v1::ForwardRequest* request,
                       v1::ForwardResponse* response) override {
    *response->mutable_output() = request->input();
    return grpc::Status::OK;
  }
};

// Writes its port to `ready` and serves until it is killed.
[[noreturn]] void Serve(PeerKind kind, int ready) {
  // As tconv-server has it.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  EchoService echo;
  PlainService plain;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  if (kind == PeerKind::kEcho) builder.RegisterCallbackGenericService(&echo);
  if (kind == PeerKind::kPlain) builder.RegisterService(&plain);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (write(ready, &port, sizeof(port)) != sizeof(port)) _exit(1);
  server->Wait();
  _exit(0);
}

}  // namespace

PeerServer::PeerServer(PeerKind kind) {
  std::array<int, 2> ready{};
  if (pipe(ready.data()) != 0) return;
  pid_ = fork();
  if (pid_ == 0) Serve(kind, ready[1]);
  int port = 0;
  if (read(ready[0], &port, sizeof(port)) == sizeof(port)) {
    target_ = "127.0.0.1:" + std::to_string(port);
  }
  close(ready[0]);
  close(ready[1]);
}

PeerServer::~PeerServer() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace tconv::bench
