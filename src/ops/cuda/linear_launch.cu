// How the kernels of linear_few_rows.cuh are launched: which one, and what of a multiprocessor its
// blocks take.
#include <algorithm>

#include "ops/cuda/launch.cuh"
#include "ops/cuda/linear_parts.h"

namespace shoehorn {
namespace {

// What a warp has under way. 2 blocks of 16 warps then have 150 KB, several times what the memory's
// latency asks for; more only takes room from L1, in which x is read again for every unit
// (measured: a third stage of 2.3 KB costs 9 % at one row, a fourth 11 % at 16).
constexpr int kRingBytes = 4800;

const FewRowsKernel& choose_kernel(Gpu& gpu, const FewRowsKernels& kernels, const Launch& launch) {
  if (kernels.of_8.function && launch.m <= kernels.of_8.rows) return kernels.of_8;
  // Twice 16 rows keep twice as many warps busy where there are few weight rows.
  const bool small = launch.m <= 32 && launch.units <= gpu.facts().multiprocessors;
  const bool few = launch.m <= kernels.of_16.rows || small;
  return few || !kernels.of_32.function ? kernels.of_16 : kernels.of_32;
}

int attribute(Gpu& gpu, cudaDeviceAttr which) {
  int value = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&value, which, gpu.facts().index));
  return value;
}

// As many blocks as registers allow, if shared memory has room for two stages of every ring; else
// one.
LaunchPlan plan_launch(Gpu& gpu, const FewRowsKernel& kernel, const Launch& launch) {
  const int of_sm = attribute(gpu, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  const int of_block = attribute(gpu, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  LaunchPlan plan = {};
  plan.passes = (launch.m + kernel.rows - 1) / kernel.rows;
  plan.pass_reciprocal =
      static_cast<uint32_t>(((int64_t{1} << 32) + plan.passes - 1) / plan.passes);
  plan.sum_rows = std::min(launch.m, kernel.rows);
  const int sums = kernel.warps * floats_of_sums(plan.sum_rows) * 4;
  const auto stages_of = [&](int blocks_of_sm) {
    const int room = std::min(of_sm / blocks_of_sm - 1024, of_block);  // 1 KiB is the driver's
    return std::min((room - sums) / (kernel.warps * kernel.slot_bytes),
                    std::max(kRingBytes / kernel.slot_bytes, 2));
  };
  int blocks_of_sm = kernel.blocks_of_sm;
  if (stages_of(blocks_of_sm) < 2) blocks_of_sm = 1;
  plan.stages = stages_of(blocks_of_sm);
  CHECK(plan.stages > 0, "{} bytes of shared memory", of_block);
  plan.blocks = std::min(launch.units * plan.passes, gpu.facts().multiprocessors * blocks_of_sm);
  plan.shared_bytes = kernel.warps * plan.stages * kernel.slot_bytes + sums;
  return plan;
}

}  // namespace

void launch_few_rows(Gpu& gpu, const FewRowsKernels& kernels, const Launch& launch,
                     const FewRowsInput& x) {
  const FewRowsKernel& kernel = choose_kernel(gpu, kernels, launch);
  const LaunchPlan plan = plan_launch(gpu, kernel, launch);
  CUDA_CHECK(cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  plan.shared_bytes));
  launch_overlapped(gpu, kernel.function, dim3(static_cast<unsigned>(plan.blocks)),
                    dim3(static_cast<unsigned>(kernel.warps * 32)),
                    static_cast<size_t>(plan.shared_bytes), x, launch, plan);
}

}  // namespace shoehorn
