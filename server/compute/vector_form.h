// Which activations the vector kernels know.
#pragma once

#include "server/compute/weave_kernels.h"
#include "server/layer/activation.h"

namespace tconv::server {

struct VectorForm {
  VectorActivation activation = VectorActivation::kNone;
  float parameter = 0;
};

// kNone for linear, and for activations without a vector form.
VectorForm VectorFormOf(const Activation& activation);

}  // namespace tconv::server
