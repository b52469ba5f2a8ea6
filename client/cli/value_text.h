// Values of the client, described for people and for scripts.
#pragma once

#include <tconv/client.h>

#include <string>
#include <vector>

#include "client/cli/json.h"
#include "client/cli/table.h"

namespace tconv::cli {

// As Keras writes it, with None for an unknown extent: "(None, 28, 28, 3)".
std::string FormatKerasShape(const Shape& shape);

// "float32 (1, 2)"
std::string FormatTensor(const Tensor& tensor);
// {"dtype": "float32", "shape": [1, 2]}
Json DescribeTensor(const Tensor& tensor);

// {"kernel": as a tensor, "bias": as a tensor, or null without one}
Json DescribeWeights(const Weights& weights);
// "kernel" and "bias", one a line, with something in front: "momentum kernel".
Rows WeightRows(const Weights& weights, const std::string& prefix = {});

// The name and the arguments that are not null: "relu max_value=6.0". "-" without one.
std::string FormatObject(const v1::KerasObject& object);

// [{"source": "kernel", "value": 0.25}]
Json LossesToJson(const std::vector<v1::Loss>& losses);
// "kernel loss", one a line.
Rows LossRows(const std::vector<v1::Loss>& losses);

}  // namespace tconv::cli
