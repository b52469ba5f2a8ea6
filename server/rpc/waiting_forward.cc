#include "server/rpc/waiting_forward.h"

#include <deque>
#include <new>
#include <utility>
#include <vector>

namespace tconv::server {

void WaitingForward::Expect(ForwardTerms terms, Caller caller) {
  terms_ = std::move(terms);
  caller_ = std::move(caller);
  outlook_ = host_.OutlookOf(terms_.name, terms_.input->shape());
}

bool WaitingForward::MayJoin(const QueuedCall& other) const {
  const auto* forward = dynamic_cast<const WaitingForward*>(&other);
  // Penalties of the activity are those of a whole batch, and an output with room of
  // its own is computed there.
  const auto may_join = [](const WaitingForward& call) {
    return call.outlook_.gains_together && !call.terms_.compute_losses &&
           !call.terms_.room.has_value();
  };
  return forward != nullptr && may_join(*this) && may_join(*forward) &&
         terms_.input->shape() == forward->terms_.input->shape();
}

void WaitingForward::SubmitTo(AdmissionQueue& queue, QueuedCall& call) {
  host_.SubmitWithVersion(terms_.name, terms_.min_version, call, queue);
}

void WaitingForward::AbandonIn(AdmissionQueue& queue, QueuedCall& call) {
  if (!host_.AbandonWaiter(call)) queue.Abandon(call);
}

ForwardJob WaitingForward::MakeJob() const {
  ForwardJob job(terms_.name, *terms_.input, terms_.compute_losses);
  job.min_version = terms_.min_version;
  job.exact_version = terms_.exact_version;
  job.room = terms_.room;
  job.caller = &caller_;
  return job;
}

void WaitingForward::ComputeWith(std::span<QueuedCall* const> companions) {
  std::vector<WaitingForward*> calls = {this};
  for (QueuedCall* companion : companions) {
    calls.push_back(dynamic_cast<WaitingForward*>(companion));
    calls.back()->BeginTurn();
  }
  std::deque<ForwardJob> jobs;
  std::vector<ForwardJob*> job_list;
  for (const WaitingForward* call : calls) job_list.push_back(&jobs.emplace_back(call->MakeJob()));
  try {
    host_.ForwardTogether(job_list);
  } catch (const std::bad_alloc&) {
    for (ForwardJob* job : job_list) job->result = OutOfMemory();
  }
  for (size_t i = 0; i < calls.size(); ++i) calls[i]->EndWith(jobs[i]);
}

}  // namespace tconv::server
