// Waiting calls in the order of their turns.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/host/queued_call.h"

namespace tconv::server {

// Calls of one flow are served in order of arrival, flows in turns: one call,
// with its companions, at a time. So a flow with many calls delays its own and
// not those of others. A flow of exclusive calls is held back while one of them runs:
// the others wait here, and no thread waits for them. Flows without calls take no
// memory. Not thread-safe.
class FlowQueue {
 public:
  // Calls that are to run together, the first with the others as companions.
  struct Group {
    std::vector<QueuedCall*> calls;
    std::string flow;
  };

  // Whether a call can have its turn now.
  bool HasNext() const { return !turns_.empty(); }
  int64_t size() const { return size_; }

  void Push(QueuedCall& call);
  // The call whose turn is next. REQUIRES: HasNext().
  const QueuedCall& next() const { return *turns_.front()->waiting.front(); }

  // Takes the next call, and up to `max_calls` - 1 later ones of its flow that
  // can run with it. Its flow runs until FinishTurn(). Calls past their deadline
  // are moved to `expired` instead; the group is empty when nothing else waits.
  Group TakeTurn(size_t max_calls, std::chrono::system_clock::time_point now,
                 std::vector<QueuedCall*>& expired);
  // Adds further companions that have come since.
  void TakeCompanions(size_t max_calls, std::chrono::system_clock::time_point now, Group& group,
                      std::vector<QueuedCall*>& expired);
  void FinishTurn(const Group& group);

  // Takes a call out; false when it does not wait.
  bool Remove(QueuedCall& call);

  // Whether calls wait of a flow of which none is running.
  bool HasRestingFlow() const { return resting_ > 0; }

  // What is sure to be computed between now and the turn of `call`, were it
  // pushed now, on one thread and with `max_calls` in each group: never more than
  // it will be. Other flows are not counted, they may have no more calls to come.
  std::chrono::nanoseconds LeastTimeAhead(const QueuedCall& call, size_t max_calls) const;

 private:
  struct Flow {
    std::string_view name;  // the key of flows_
    std::deque<QueuedCall*> waiting;
    int running = 0;  // turns that are not finished

    // REQUIRES: calls wait.
    bool IsHeldBack() const { return running > 0 && waiting.front()->is_exclusive(); }
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };

  void EndWaiting(Flow& flow);
  void ForgetIfEmpty(const Flow& flow);

  std::unordered_map<std::string, Flow, Hash, std::equal_to<>> flows_;
  // Flows with waiting calls that are not held back, the next one first.
  std::deque<Flow*> turns_;
  int64_t size_ = 0;
  int resting_ = 0;  // flows that wait and do not run
};

}  // namespace tconv::server
