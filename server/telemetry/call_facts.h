// What is known of a call when it has ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace tconv::server {

// Where the time of a call went, apart from waiting for its bytes.
struct CallTimes {
  std::chrono::nanoseconds queue{0};      // until its turn came
  std::chrono::nanoseconds plan{0};       // to find or make the plan and its weights
  std::chrono::nanoseconds compute{0};    // to do what was asked for
  std::chrono::nanoseconds serialize{0};  // to encode the answer
};

// How a Forward was computed.
struct ForwardFacts {
  std::string_view strategy = {};  // lives as long as the server; empty: nothing to compute
  int64_t batch_calls = 1;         // that were computed together
  bool is_first_call = true;       // of its batch
  int64_t layer_id = 0;            // 0: it was not found
  int64_t weights_version = 0;     // 0: it has none
  int64_t images = 0;              // that this call has computed
};

}  // namespace tconv::server
