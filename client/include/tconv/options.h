// How a client connects, how long it waits, and when it tries again.
#pragma once

#include <grpcpp/security/credentials.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace tconv {

// Whether a call that failed in passing is made again: with UNAVAILABLE, or with
// RESOURCE_EXHAUSTED when the server says after which time another try is worth
// it (google.rpc.RetryInfo). Other errors are never retried.
//
// By themselves are repeated: the calls that only read (Forward, Backward, GetWeights,
// Get, List, GetChain, ListChains, ComputeOutputShape, GetOptimizer, CheckHealth), and
// those that cannot act twice: SetTrainable; ApplyGradients and TrainStep, by the name of the step;
// and SetWeights with `if_version`: if its first answer got lost, the second one is ABORTED. The
// others (Create, Build, Delete, CreateChain, DeleteChain, SetOptimizer, SetWeights without a
// version) are repeated only when they have certainly not left this process, because no connection
// could be made. ForwardStream, whose input cannot be taken back, is never repeated.
//
// Before attempt n + 1 the call waits a random time between one half and the
// whole of min(first_delay * 2^(n - 1), max_delay), after the time that the server
// asks for, if it does. It fails at once, with the error of the last attempt, when
// its timeout would end before that.
struct RetryPolicy {
  // How often a call is made at most; 1: never again.
  int attempts = 4;
  std::chrono::milliseconds first_delay = std::chrono::milliseconds(100);
  std::chrono::milliseconds max_delay = std::chrono::seconds(2);
};

// Settings of a connection; read once, when it is made.
struct ClientOptions {
  // How long a call may take, all attempts together, from the moment it is made
  // until its answer has arrived; DEADLINE_EXCEEDED after that. Zero: as long as
  // it takes.
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
  // Null: plain text. TlsCredentials() makes those of TLS from files.
  std::shared_ptr<grpc::ChannelCredentials> credentials = {};
  // Tells the server who calls. A file is read again while the connection lives, so
  // that tokens can be replaced; it goes before `token`.
  std::string token = {};
  std::string token_file = {};
  // Else every call fails with FAILED_PRECONDITION, before anything is sent, when
  // there is a token, no TLS, and the server is on another machine.
  bool allow_plaintext_token = false;
  RetryPolicy retry = {};
  // While calls run, the server is asked for a sign of life after this time
  // without one, and has the second time to give it; else the calls end with
  // UNAVAILABLE. Without it a call that sends much to a server that has stopped
  // reading outlives its timeout. Servers refuse clients that ask too often.
  std::chrono::milliseconds keepalive_time = std::chrono::seconds(20);
  std::chrono::milliseconds keepalive_timeout = std::chrono::seconds(10);
  // Most memory of tensors that are gone which is kept for the next ones.
  size_t max_idle_bytes = size_t{512} << 20;
};

// Settings of a single call.
struct CallOptions {
  // Instead of ClientOptions::timeout; zero: as long as it takes.
  std::optional<std::chrono::milliseconds> timeout = {};
  // request_stop() on the source of this token ends the call with CANCELLED, at
  // any time and from any thread. It does nothing once the call has ended.
  std::stop_token cancellation = {};
  // The header "traceparent" of W3C Trace Context, for the log of the server. Empty:
  // none.
  std::string traceparent = {};
};

}  // namespace tconv
