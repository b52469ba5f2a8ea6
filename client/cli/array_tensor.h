// Arrays of files as tensors of the client, and back, without a copy of the elements.
#pragma once

#include <absl/status/statusor.h>
#include <tconv/tensor.h>

#include <string>

#include "client/cli/json.h"
#include "formats/array.h"

namespace tconv::cli {

absl::StatusOr<Tensor> ToTensor(const formats::Array& array);

// INVALID_ARGUMENT for a placeholder, which has no type.
absl::StatusOr<formats::Array> ToArray(const Tensor& tensor);

// As those of a tensor, in value_text.h.
std::string FormatArray(const formats::Array& array);
Json DescribeArray(const formats::Array& array);

}  // namespace tconv::cli
