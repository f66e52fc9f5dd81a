#include "ops/cuda/libraries.h"

#include <gtest/gtest.h>

namespace shoehorn {
namespace {

// Needs no card: the library that was there at build time is found and has what is used of it.
TEST(Blas, IsFoundWhereItWasBuilt) {
  const Result<Blas> blas = Blas::load();
  ASSERT_TRUE(blas.ok()) << blas.error().message;
  EXPECT_STRNE(blas->status_string(CUBLAS_STATUS_ALLOC_FAILED),
               blas->status_string(CUBLAS_STATUS_SUCCESS));
}

}  // namespace
}  // namespace shoehorn
