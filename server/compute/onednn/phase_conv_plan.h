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

// The positions of a convolution that are computed at once.
struct PhaseTile {
  Phases phases;            // with the positions of the tile
  int64_t first_input = 0;  // along the tile axis
  int64_t inputs = 0;
  size_t convolution = 0;       // for a full set of images
  size_t last_convolution = 0;  // for the images that remain
};

// The convolution of one tile size.
struct TileConvolution {
  SharedPrimitive primitive;
  dnnl::memory::desc src_desc;
  dnnl::memory::desc dst_desc;
  std::shared_ptr<const PackedWeights> weights;
};

// The convolution of one phase group of each axis and one set of filters.
struct PhaseConvolution {
  Phases phases;
  int64_t first_filter = 0;
  int64_t filters = 0;
  int64_t channels = 0;  // (phase of d, phase of h, phase of w, filter)
  std::vector<PhaseTile> tiles;
};

// A tile of a convolution and where in the scratch its sums go.
struct TileSums {
  size_t convolution = 0;
  size_t tile = 0;
  size_t offset_bytes = 0;
};

// A part of an output row.
struct RowPart {
  int64_t first_output = 0;
  int64_t outputs = 0;
  int64_t first_filter = 0;
  int64_t filters = 0;
};

// Tiles that are woven together into parts of rows: they differ in the phases
// of the width alone. There is at least one.
struct PhaseTask {
  std::vector<TileSums> tiles;
  size_t sums_bytes = 0;  // of all tiles
  RowPart part;
};

// All that a plan needs to know beside the problem.
struct PhaseConvParts {
  size_t tile_axis = 0;
  int64_t images_per_task = 1;
  std::vector<PhaseConvolution> convolutions;
  std::vector<TileConvolution> tile_convolutions;
  std::vector<PhaseTask> tasks;  // of one set of images
};

// Whether outputs are planes. Then a task computes all phases of the width, for
// it takes complete rows to write planes well.
inline bool IsPlanar(const DeconvProblem& problem) {
  return problem.data_format == DataFormat::kChannelsFirst;
}

// The plan made of its parts. Sources that are not channels_last and of the type
// `multiplied_as` are converted first.
std::unique_ptr<const ForwardPlan> MakePhaseConvPlan(std::shared_ptr<const OneDnnRuntime> runtime,
                                                     WorkerPool& pool, const DeconvProblem& problem,
                                                     DType multiplied_as, PhaseConvParts parts,
                                                     Weave weave);

}  // namespace tconv::server
