// The execution of a phase convolution. strategies.h has the strategy itself.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/phases.h"
#include "server/compute/strategy.h"
#include "server/compute/weave.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

// One phase group of each axis: depth, height, width.
using Phases = std::array<PhaseGroup, 3>;

// A range of positions along the tile axis, and of the inputs they read.
struct PhaseTile {
  int64_t first_position = 0;
  int64_t positions = 0;
  int64_t first_input = 0;
  int64_t inputs = 0;
  size_t convolution = 0;       // for a full set of images
  size_t last_convolution = 0;  // for the images that remain
};

// The convolution of one tile size.
struct TileConvolution {
  SharedPrimitive primitive;
  dnnl::memory::desc src_desc;
  dnnl::memory::desc dst_desc;
};

// The convolution of one phase group of each axis and one set of filters.
struct PhaseConvolution {
  Phases phases;
  int64_t first_filter = 0;
  int64_t filters = 0;
  int64_t channels = 0;  // (phase of d, phase of h, phase of w, filter)
  std::shared_ptr<const PackedWeights> weights;
  std::vector<PhaseTile> tiles;
};

// All that a plan needs to know beside the problem.
struct PhaseConvParts {
  size_t tile_axis = 0;
  int64_t images_per_task = 1;
  std::vector<PhaseConvolution> convolutions;
  std::vector<TileConvolution> tile_convolutions;
  size_t scratch_bytes = 0;
};

// The plan made of its parts. Sources that are not of the type `multiplied_as`
// are converted first.
std::unique_ptr<const ForwardPlan> MakePhaseConvPlan(std::shared_ptr<const OneDnnRuntime> runtime,
                                                     WorkerPool& pool, const DeconvProblem& problem,
                                                     DType multiplied_as, PhaseConvParts parts,
                                                     Weave weave);

}  // namespace tconv::server
