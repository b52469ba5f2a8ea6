// Tensors as .npy, the file format of numpy.save().
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/tensor.h>

#include <iosfwd>

#include "formats/npy.h"

namespace tconv::cli {

using formats::TransferObserver;

// As in formats/npy.h.
absl::StatusOr<Tensor> ReadNpy(std::istream& in, const TransferObserver& observer = {});
absl::Status WriteNpy(std::ostream& out, const Tensor& tensor,
                      const TransferObserver& observer = {});

}  // namespace tconv::cli
