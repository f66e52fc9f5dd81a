// Asynchronous copies into a warp's ring in shared memory, and waiting for them. A stage of a ring
// has a barrier; its n-th filling ends the barrier's n-th phase.
//
// On compute capability 9.0 the bulk copy engine does it: one lane says what is wanted, in a few
// instructions for any number of bytes. Elsewhere each lane copies 16 bytes at a time (on 12.0 too:
// there the engine's operands made the loop over stages spill 300 bytes).
#pragma once

#include <cstddef>
#include <cstdint>

#include <nv/target>

namespace shoehorn {

// By one lane of the warp that will use it.
__device__ inline void init_barrier(uint32_t at) {
  NV_IF_ELSE_TARGET(NV_IS_EXACTLY_SM_90,
                    (asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(at)
                                  : "memory");),
                    (asm volatile("mbarrier.init.shared.b64 [%0], 32;" ::"r"(at)
                                  : "memory");))
}
// By all lanes that initialized barriers or wrote to the ring, before a __syncwarp and the first
// copy.
__device__ inline void show_to_copies() {
  NV_IF_TARGET(NV_IS_EXACTLY_SM_90, (asm volatile("fence.proxy.async.shared::cta;" ::: "memory");))
}

__device__ inline void store_zeros(uint32_t at) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(at), "r"(0) : "memory");
}

// By all lanes. parity: of the phase to wait for.
__device__ inline void wait_for_stage(uint32_t barrier, uint32_t parity) {
  uint32_t done = 0;
  do {
    NV_IF_ELSE_TARGET(
        NV_IS_EXACTLY_SM_90,
        (asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; "
                      "selp.u32 %0, 1, 0, p; }"
                      : "=r"(done)
                      : "r"(barrier), "r"(parity)
                      : "memory");),
        (asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; "
                      "selp.u32 %0, 1, 0, p; }"
                      : "=r"(done)
                      : "r"(barrier), "r"(parity)
                      : "memory");))
  } while (done == 0);
}

// A filling is: expect_bytes, then pieces of so many bytes together, then end_filling, by the lanes
// that are filling_lane(). (elect.sync is what the compiler knows to choose one lane; any other way
// it builds loops around instructions that only one lane executes.)
__device__ inline bool filling_lane() {
  uint32_t chosen = 1;
  NV_IF_TARGET(NV_IS_EXACTLY_SM_90,
               (asm volatile("{ .reg .pred p; elect.sync _|p, 0xFFFFFFFF; selp.u32 %0, 1, 0, p; }"
                             : "=r"(chosen));))
  return chosen != 0;
}
__device__ inline void expect_bytes(uint32_t barrier, int bytes) {
  NV_IF_TARGET(
      NV_IS_EXACTLY_SM_90,
      (asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                    : "memory");))
}
// bytes: a multiple of 16.
__device__ inline void copy_piece(uint32_t target, const std::byte* source, int bytes,
                                  uint32_t barrier) {
  NV_IF_ELSE_TARGET(
      NV_IS_EXACTLY_SM_90,
      (asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], "
                    "%2, [%3];" ::"r"(target),
                    "l"(source), "r"(bytes), "r"(barrier)
                    : "memory");),
      (_Pragma("unroll 1") for (int at = static_cast<int>(threadIdx.x % 32) * 16; at < bytes;
                                at += 512) {
        asm volatile(
            "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target + static_cast<uint32_t>(at)),
            "l"(source + at)
            : "memory");
      }))
}
__device__ inline void end_filling(uint32_t barrier) {
  NV_IF_ELSE_TARGET(NV_IS_EXACTLY_SM_90, (),
                    (asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier)
                                  : "memory");))
}

}  // namespace shoehorn
