#pragma once

#include <gtest/gtest.h>

#include "server/layer/activation.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {

// A spec that is known to be right; else the test fails.
inline Activation MakeActivation(const ObjectSpec& spec) {
  StatusOr<Activation> activation = Activation::Make(spec);
  EXPECT_THAT(activation, testing::IsOk()) << spec.name;
  return activation.value_or(Activation());
}

}  // namespace tconv::server
