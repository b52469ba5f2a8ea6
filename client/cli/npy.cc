#include "client/cli/npy.h"

#include "client/cli/array_tensor.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {

absl::StatusOr<Tensor> ReadNpy(std::istream& in, const TransferObserver& observer) {
  TCONV_CLI_ASSIGN_OR_RETURN(const formats::Array array, formats::ReadNpy(in, observer));
  return ToTensor(array);
}

absl::Status WriteNpy(std::ostream& out, const Tensor& tensor, const TransferObserver& observer) {
  TCONV_CLI_ASSIGN_OR_RETURN(const formats::Array array, ToArray(tensor));
  return formats::WriteNpy(out, array, observer);
}

}  // namespace tconv::cli
