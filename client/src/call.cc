#include "client/src/call.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <random>
#include <utility>

#include "client/src/grpc_status.h"
#include "client/src/server_timing.h"
#include "proto/codec/stream_format.h"

namespace tconv {

using std::chrono::milliseconds;
using std::chrono::system_clock;

namespace {

// Longer names are wrong, and metadata has its limits, too.
constexpr size_t kMaxNameBytes = 255;

// Names may have any bytes, metadata may not.
std::string PercentEncoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.') {
      encoded.push_back(c);
    } else {
      absl::StrAppend(&encoded, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return encoded;
}

// Whether a later attempt may fare better.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) ||
         (absl::IsResourceExhausted(status) && RetryDelayOf(status).has_value());
}

}  // namespace

Call::Call(std::shared_ptr<const Endpoint> endpoint, CallTerms terms, grpc::CompletionQueue& queue)
    : endpoint_(std::move(endpoint)),
      terms_(std::move(terms)),
      queue_(queue),
      pause_ended_([this](bool) { Start(); }) {}

Call::~Call() {
  // Nobody may cancel from here on.
  on_stop_.reset();
}

void Call::Start() {
  {
    const std::lock_guard lock(cancelling_);
    context_ = std::make_unique<grpc::ClientContext>();
    if (terms_.cancellation.stop_requested()) context_->TryCancel();
  }
  if (absl::Status status = endpoint_->bearer->Sign(*context_); !status.ok()) {
    return EndAttempt(std::move(status));
  }
  // gRPC ends calls beyond their deadline at once; the one without is none.
  if (terms_.deadline != system_clock::time_point::max()) context_->set_deadline(terms_.deadline);
  if (!terms_.traceparent.empty()) {
    context_->AddMetadata(codec::kTraceparentKey, terms_.traceparent);
  }
  if (attempts_++ == 0 && terms_.cancellation.stop_possible()) {
    on_stop_.emplace(terms_.cancellation, [this] { Cancel(); });
  }
  if (!terms_.layer.empty() && terms_.layer.size() <= kMaxNameBytes) {
    context_->AddMetadata(codec::kLayerKey, PercentEncoded(terms_.layer));
  }
  StartAttempt();
}

void Call::EndAttempt(absl::Status status) {
  if (MayRepeatAfter(status)) {
    const auto next = system_clock::now() + DelayAfter(status);
    if (next < terms_.deadline) {
      const std::lock_guard lock(cancelling_);
      pause_ = std::make_unique<grpc::Alarm>();
      pause_->Set(&queue_, next, pause_ended_.tag());
      if (terms_.cancellation.stop_requested()) pause_->Cancel();
      return;
    }
  }
  Deliver(std::move(status));
  delete this;
}

void Call::Cancel() {
  const std::lock_guard lock(cancelling_);
  context_->TryCancel();
  if (pause_ != nullptr) pause_->Cancel();
}

bool Call::MayRepeatAfter(const absl::Status& status) const {
  if (!MayPass(status) || attempts_ >= endpoint_->retry.attempts) return false;
  switch (terms_.repeatable) {
    case Repeatable::kAlways:
      return true;
    case Repeatable::kIfItNeverLeft:
      return context_->peer() == endpoint_->peer_before_sending;
    case Repeatable::kNever:
      return false;
  }
  return false;
}

milliseconds Call::DelayAfter(const absl::Status& status) const {
  return RetryDelayOf(status).value_or(milliseconds(0)) + OwnDelay();
}

milliseconds Call::OwnDelay() const {
  const RetryPolicy& retry = endpoint_->retry;
  milliseconds longest = retry.first_delay;
  for (int i = 1; i < attempts_ && longest < retry.max_delay; ++i) longest *= 2;
  longest = std::min(longest, retry.max_delay);
  std::random_device random;
  return milliseconds(std::uniform_int_distribution<milliseconds::rep>(longest.count() / 2,
                                                                       longest.count())(random));
}

std::optional<ServerTiming> Call::Timing() const {
  const auto& trailing = context_->GetServerTrailingMetadata();
  const auto timing = trailing.find(codec::kTimingKey);
  if (timing == trailing.end()) return std::nullopt;
  return ParseServerTiming({timing->second.data(), timing->second.size()});
}

// gRPC describes each address it tried; the name that the user gave says more.
absl::Status Call::Explain(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  if (status.error_code() == grpc::StatusCode::CANCELLED && !terms_.cancellation.stop_requested()) {
    // gRPC's word for calls that reach a server just after that has sent its clients away.
    return absl::UnavailableError(
        absl::StrCat(endpoint_->target, " has cut the call off: ", status.error_message()));
  }
  const grpc_connectivity_state state = endpoint_->channel->GetState(/*try_to_connect=*/false);
  const bool unconnected =
      state == GRPC_CHANNEL_CONNECTING || state == GRPC_CHANNEL_TRANSIENT_FAILURE;
  const bool unanswered = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                          status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  absl::Status result = ToAbslStatus(status);
  if (!unconnected || !unanswered) return result;
  return absl::Status(result.code(), absl::StrCat("cannot reach ", endpoint_->target, ": ",
                                                  status.error_message()));
}

}  // namespace tconv
