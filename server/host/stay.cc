#include "server/host/stay.h"

namespace tconv::server {

StatusOr<Stay> Stay::Enter(AdmissionQueue& queue, const Allowances& allowances, int64_t bytes) {
  Stay stay(bytes);
  for (const auto& allowance : allowances) {
    TCONV_RETURN_IF_ERROR(allowance->Enter(bytes));
    stay.allowances_.push_back(allowance);
  }
  TCONV_RETURN_IF_ERROR(queue.Enter(bytes));
  stay.queue_ = &queue;
  return stay;
}

Stay::~Stay() {
  for (const auto& allowance : allowances_) allowance->Leave(bytes_);
  if (queue_ != nullptr) queue_->Leave(bytes_);
}

Status Stay::Enlarge(int64_t more_bytes) {
  size_t enlarged = 0;
  Status status;
  while (enlarged < allowances_.size()) {
    status = allowances_[enlarged]->Enlarge(more_bytes);
    if (!status.ok()) break;
    ++enlarged;
  }
  if (status.ok()) status = queue_->Enlarge(more_bytes);
  if (status.ok()) {
    bytes_ += more_bytes;
    return status;
  }
  for (size_t i = 0; i < enlarged; ++i) allowances_[i]->Leave(more_bytes);
  return status;
}

}  // namespace tconv::server
