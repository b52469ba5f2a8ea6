// Writes one row of tests/data/shapes.txt as files, for programs that do not
// know this project:
//
//   case_dump ROW FOLDER
//   case_dump --list        the float32, channels_last rows marked bench
//
// case.json tells the geometry as AxisGeometry does. The tensors are float32 in
// row-major order: src [N, spatial..., IC], kernel [spatial..., OC, IC], bias
// [OC], and dst [N, spatial..., OC], which the planned strategy computed. diff_src and
// diff_kernel are the gradients of the linear layer for a random diff_dst.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "server/compute/compile_plan.h"
#include "tests/bench/contenders.h"
#include "tests/support/shape_table.h"

namespace tconv::bench {
namespace {

using nlohmann::json;
using server::DeconvProblem;
using server::Tensor;
using ::tconv::testing::ShapeRow;

bool IsForPeers(const ShapeRow& row) {
  return row.is_bench && row.problem.dtype == server::DType::kFloat32 &&
         row.problem.data_format == server::DataFormat::kChannelsLast;
}

json Describe(const ShapeRow& row) {
  const DeconvProblem& problem = row.problem;
  json axes = json::array();
  for (const server::AxisGeometry& axis : problem.axes) {
    axes.push_back({{"in", axis.in},
                    {"out", axis.out},
                    {"kernel", axis.kernel},
                    {"stride", axis.stride},
                    {"dilation", axis.dilation},
                    {"crop_begin", axis.crop_begin},
                    {"crop_end", axis.crop_end()}});
  }
  return {{"name", row.name},
          {"batch", problem.batch},
          {"in_channels", problem.in_channels},
          {"out_channels", problem.out_channels},
          {"use_bias", problem.use_bias},
          {"activation", problem.activation.spec().name},
          {"axes", axes}};
}

void WriteFile(const std::filesystem::path& path, const void* data, size_t bytes) {
  std::ofstream file(path, std::ios::binary);
  file.exceptions(std::ios::badbit | std::ios::failbit);
  file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
}

void WriteTensor(const std::filesystem::path& path, const Tensor& tensor) {
  WriteFile(path, tensor.view().data, static_cast<size_t>(tensor.size_bytes()));
}

server::Status DumpGradients(const Machine& machine, const DeconvProblem& problem,
                             const Tensor& src, const Tensor& kernel,
                             const std::filesystem::path& folder) {
  const Tensor diff_dst = testing::RandomTensor(problem.linear_shape(), problem.dtype, 3);
  TCONV_ASSIGN_OR_RETURN(Tensor diff_src, Tensor::Allocate(problem.dtype, src.shape()));
  TCONV_ASSIGN_OR_RETURN(Tensor diff_kernel, Tensor::Allocate(problem.dtype, kernel.shape()));
  TCONV_ASSIGN_OR_RETURN(const server::BackwardChoice choice,
                         machine.backward_planner.Choose(problem));
  TCONV_ASSIGN_OR_RETURN(const auto plan, choice.strategy->Compile(problem));
  TCONV_RETURN_IF_ERROR(plan->Execute({.kernel = kernel.view(),
                                       .src = src.view(),
                                       .diff_dst = diff_dst.view(),
                                       .diff_src = diff_src.mutable_view(),
                                       .diff_kernel = diff_kernel.mutable_view()},
                                      *server::BlockPool::Make(0)));
  WriteTensor(folder / "diff_dst.f32", diff_dst);
  WriteTensor(folder / "diff_src.f32", diff_src);
  WriteTensor(folder / "diff_kernel.f32", diff_kernel);
  return server::OkStatus();
}

server::Status Dump(const ShapeRow& row, const std::filesystem::path& folder) {
  const DeconvProblem& problem = row.problem;
  const auto weights = testing::RandomWeights(problem, row.config.dtype.variable, 1);
  const Tensor src = testing::RandomTensor(problem.src_shape(), problem.dtype, 2);
  TCONV_ASSIGN_OR_RETURN(Tensor dst, Tensor::Allocate(problem.dtype, problem.dst_shape()));
  const Machine machine(1);
  TCONV_ASSIGN_OR_RETURN(const server::PlanChoice choice, machine.planner->Choose(problem));
  TCONV_ASSIGN_OR_RETURN(const auto plan, CompilePlan(*choice.strategy, problem, weights));
  TCONV_RETURN_IF_ERROR(plan->Execute(src.view(), dst.mutable_view()));

  std::filesystem::create_directories(folder);
  WriteTensor(folder / "src.f32", src);
  WriteTensor(folder / "kernel.f32", weights->kernel);
  if (weights->bias) WriteTensor(folder / "bias.f32", *weights->bias);
  WriteTensor(folder / "dst.f32", dst);
  const std::string description = Describe(row).dump(2);
  WriteFile(folder / "case.json", description.data(), description.size());
  return DumpGradients(machine, problem, src, weights->kernel, folder);
}

int Main(int argc, char** argv) {
  bool list = false;
  std::string name, folder;
  CLI::App app("Writes a case of the benchmark as files.");
  app.add_flag("--list", list, "Print the names of the rows");
  app.add_option("row", name, "The row to write");
  app.add_option("folder", folder, "Where to");
  CLI11_PARSE(app, argc, argv);

  for (const ShapeRow& row : testing::ReadShapeTable()) {
    if (!IsForPeers(row)) continue;
    if (list) std::printf("%s\n", row.name.c_str());
    if (row.name != name) continue;
    const server::Status status = Dump(row, folder);
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return status.ok() ? 0 : 1;
  }
  if (list) return 0;
  std::fprintf(stderr, "no such row for peers: \"%s\"\n", name.c_str());
  return 1;
}

}  // namespace
}  // namespace tconv::bench

int main(int argc, char** argv) { return tconv::bench::Main(argc, argv); }
