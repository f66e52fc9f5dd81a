#include "memory/weight_source.h"

#include <gtest/gtest.h>

namespace shoehorn {
namespace {

TEST(ResidentWeights, LeasesTheBytesOfEachBlock) {
  HostBuffer buffer = HostBuffer::create(300, "a test").value();
  for (int i = 0; i < 300; ++i) buffer.data()[i] = static_cast<std::byte>(i / 100);
  ResidentWeights weights(std::move(buffer), {0, 100, 200, 300});
  ASSERT_EQ(weights.block_count(), 3);
  for (int block = 0; block < 3; ++block) {
    weights.prefetch(block);
    const Lease lease = weights.acquire(block).value();
    ASSERT_EQ(lease.bytes().size(), 100u);
    EXPECT_EQ(lease.data()[0], static_cast<std::byte>(block));
    EXPECT_EQ(lease.data()[99], static_cast<std::byte>(block));
  }
}

// Counts what is out, as a tier that streams must.
class CountingSource final : public WeightSource {
 public:
  int block_count() const override { return 1; }
  void prefetch(int) override {}
  Result<Lease> acquire(int block) override {
    ++out;
    return Lease(this, block, {});
  }
  int out = 0;

 private:
  void release(int) override { --out; }
};

TEST(Lease, EndsExactlyOnceHoweverOftenItMoves) {
  CountingSource source;
  {
    Lease first = source.acquire(0).value();
    EXPECT_EQ(source.out, 1);
    const Lease second = std::move(first);
    EXPECT_EQ(source.out, 1);
  }
  EXPECT_EQ(source.out, 0);
}

}  // namespace
}  // namespace shoehorn
