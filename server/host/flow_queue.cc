#include "server/host/flow_queue.h"

#include <algorithm>

namespace tconv::server {

void FlowQueue::Push(QueuedCall& call) {
  const auto [entry, is_new] = flows_.try_emplace(std::string(call.flow()));
  Flow& flow = entry->second;
  if (is_new) flow.name = entry->first;
  flow.waiting.push_back(&call);
  ++size_;
  if (flow.waiting.size() > 1) return;
  if (flow.running == 0) ++resting_;
  if (!flow.IsHeldBack()) turns_.push_back(&flow);
}

FlowQueue::Group FlowQueue::TakeTurn(size_t max_calls, std::chrono::system_clock::time_point now,
                                     std::vector<QueuedCall*>& expired) {
  Group group;
  while (!turns_.empty() && group.calls.empty()) {
    Flow& flow = *turns_.front();
    turns_.pop_front();
    if (flow.running == 0) --resting_;
    while (!flow.waiting.empty() && group.calls.empty()) {
      QueuedCall* call = flow.waiting.front();
      flow.waiting.pop_front();
      --size_;
      (call->deadline() < now ? expired : group.calls).push_back(call);
    }
    if (group.calls.empty()) {
      ForgetIfEmpty(flow);
      continue;
    }
    group.flow = flow.name;
    ++flow.running;
    if (!flow.waiting.empty() && !flow.IsHeldBack()) turns_.push_back(&flow);
  }
  if (!group.calls.empty()) TakeCompanions(max_calls, now, group, expired);
  return group;
}

void FlowQueue::TakeCompanions(size_t max_calls, std::chrono::system_clock::time_point now,
                               Group& group, std::vector<QueuedCall*>& expired) {
  Flow& flow = flows_.find(group.flow)->second;
  if (flow.waiting.empty()) return;
  const QueuedCall& leader = *group.calls.front();
  const auto is_taken = [&](QueuedCall* call) {
    if (group.calls.size() >= max_calls || !leader.CanRunWith(*call)) return false;
    (call->deadline() < now ? expired : group.calls).push_back(call);
    return true;
  };
  size_ -= static_cast<int64_t>(std::erase_if(flow.waiting, is_taken));
  if (flow.waiting.empty()) EndWaiting(flow);
}

void FlowQueue::FinishTurn(const Group& group) {
  Flow& flow = flows_.find(group.flow)->second;
  const bool was_held_back = !flow.waiting.empty() && flow.IsHeldBack();
  if (--flow.running > 0) return;
  if (!flow.waiting.empty()) ++resting_;
  if (was_held_back) turns_.push_back(&flow);
  ForgetIfEmpty(flow);
}

bool FlowQueue::Remove(QueuedCall& call) {
  // The flow of a call that does not wait must not be asked for.
  for (auto& [name, flow] : flows_) {
    if (std::erase(flow.waiting, &call) == 0) continue;
    --size_;
    if (flow.waiting.empty()) EndWaiting(flow);
    return true;
  }
  return false;
}

void FlowQueue::EndWaiting(Flow& flow) {
  std::erase(turns_, &flow);
  if (flow.running == 0) --resting_;
  ForgetIfEmpty(flow);
}

void FlowQueue::ForgetIfEmpty(const Flow& flow) {
  if (flow.running == 0 && flow.waiting.empty()) flows_.erase(flows_.find(flow.name));
}

std::chrono::nanoseconds FlowQueue::LeastTimeAhead(const QueuedCall& call, size_t max_calls) const {
  std::chrono::nanoseconds ahead{0};
  const auto flow = flows_.find(call.flow());
  if (flow == flows_.end()) return ahead;
  for (const QueuedCall* other : flow->second.waiting) {
    // Its turn may be this call's, too.
    if (other->CanRunWith(call)) break;
    // No group takes less than the longest of its calls.
    const size_t sharers = other->CanRunWith(*other) ? max_calls : 1;
    ahead += other->least_time() / static_cast<int64_t>(sharers);
  }
  return ahead;
}

}  // namespace tconv::server
