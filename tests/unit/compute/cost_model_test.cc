// What the planner chooses is a part of the documentation: docs/performance.md.
#include <gtest/gtest.h>

#include <string>

#include "server/compute/planner.h"
#include "server/compute/strategies.h"
#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

struct Case {
  std::string strategy;
  std::string row;
};

class ChoiceTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Layers, ChoiceTest,
    ::testing::Values(Case{"weight_stream", "first_of_a_generator 1x4x4x1024 f=512 k=4 s=2 same"},
                      Case{"weight_stream",
                           "the_same_in_planes 1x4x4x1024 f=512 k=4 s=2 same first"},
                      Case{"weight_stream", "bottleneck 1x1x1x512 f=512 k=4 s=2 same"},
                      Case{"phase_conv", "decoder 1x64x64x256 f=128 k=3 s=2 same act=relu"},
                      Case{"phase_conv", "decoder_in_planes 1x64x64x256 f=128 k=3 s=2 same first"},
                      Case{"phase_conv", "volume 1x8x8x8x256 f=128 k=4 s=2 same"},
                      Case{"phase_conv", "stride_1 1x56x56x64 f=64 k=3 same"},
                      Case{"phase_conv", "segmentation_head 1x70x70x21 f=21 k=16 s=8 same"},
                      Case{"phase_conv", "large_kernel 1x512x512x1 f=1 k=64 same"},
                      Case{"in_place_matmul", "large_up_sampling 1x196x196x128 f=64 k=2 s=2"},
                      Case{"overlap_add", "picture 1x128x128x128 f=3 k=4 s=2 same act=tanh"},
                      Case{"overlap_add", "picture_in_planes 1x128x128x128 f=3 k=4 s=2 same first"},
                      Case{"overlap_add", "super_resolution 1x100x100x56 f=1 k=9 s=3 same"},
                      Case{"overlap_add", "voxels 1x32x32x32x64 f=1 k=4 s=2 same"},
                      Case{"reference", "float64 1x32x32x64 f=64 k=4 s=2 dtype=float64"}),
    [](const auto& test) { return test.param.row.substr(0, test.param.row.find(' ')); });

TEST_P(ChoiceTest, IsTheDocumentedOne) {
  const auto pool = WorkerPool::Make(1).value();
  const auto planner = Planner::Make(MakeStrategies(*pool).value(), "").value();
  const auto row = tconv::testing::ParseShapeRow(GetParam().row + " |");
  EXPECT_EQ(planner->Choose(row.problem)->strategy->name(), GetParam().strategy);
}

}  // namespace
}  // namespace tconv::server
