// A Forward whose input and output pass through the server in parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/layer/layer_config.h"
#include "server/telemetry/call_facts.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// What a stream says before its input.
struct StreamedForward {
  std::string layer;  // or chain
  DType dtype = DType::kFloat32;
  Shape shape;
  bool compute_losses = false;
  int64_t min_version = 0;         // as in ForwardJob
  const Caller* caller = nullptr;  // likewise
};

// Takes the input, computes it slab by slab and gives the output, both in stream
// order: row-major, but for channels_first with the channels behind the
// outermost spatial axis. Holds a bounded part of them. Uses the weights it began
// with until its end.
//
// Three threads may use it at once: one that fills, one that computes and one
// that takes.
class ForwardSession {
 public:
  virtual ~ForwardSession() = default;

  // The most memory that input and output take, and what is between them.
  virtual int64_t buffer_bytes() const = 0;
  virtual int64_t input_bytes() const = 0;  // of the whole stream
  virtual int64_t weights_version() const = 0;
  virtual DType output_dtype() const = 0;
  virtual Shape output_shape() const = 0;
  virtual DataFormat data_format() const = 0;

  // Where the next bytes of input go. Empty when there is no memory for them
  // now, and at the end of the input. RESOURCE_EXHAUSTED without memory.
  virtual StatusOr<std::span<std::byte>> Room() = 0;
  // So many bytes of the room are filled.
  virtual void Fill(size_t bytes) = 0;

  // Whether a slab is there that can be computed now.
  virtual bool CanCompute() const = 0;
  // Computes it. REQUIRES: CanCompute().
  virtual Status Compute() = 0;

  // A piece of output, and what keeps it alive.
  struct Output {
    std::shared_ptr<const Tensor> owner;
    std::span<const std::byte> bytes;
  };
  // The next output; null while there is none.
  virtual std::optional<Output> Take() = 0;
  // The last output that was taken is delivered, which makes room for another.
  virtual void Release() = 0;

  // Whether all slabs are computed and taken.
  virtual bool IsDone() const = 0;
  // Empty unless asked for. REQUIRES: IsDone().
  virtual std::vector<Loss> losses() const = 0;
  // REQUIRES: no slab is being computed.
  virtual ForwardFacts facts() const = 0;
};

}  // namespace tconv::server
