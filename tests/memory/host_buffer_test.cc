#include "memory/host_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace shoehorn {
namespace {

TEST(HostBuffer, IsAlignedZeroAndWritable) {
  const HostBuffer buffer = HostBuffer::create(100'001, "a test").value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (2 << 20), 0u);
  EXPECT_EQ(buffer.bytes().size(), 100'001u);
  for (const std::byte b : buffer.bytes()) ASSERT_EQ(b, std::byte{0});
  buffer.bytes().front() = std::byte{1};
  buffer.bytes().back() = std::byte{2};
  EXPECT_EQ(buffer.data()[100'000], std::byte{2});
}

TEST(HostBuffer, MovingKeepsTheBytesInPlace) {
  HostBuffer first = HostBuffer::create(4096, "a test").value();
  std::byte* data = first.data();
  data[7] = std::byte{7};
  HostBuffer second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.data()[7], std::byte{7});
  EXPECT_EQ(first.data(), nullptr);
}

TEST(HostBuffer, EmptyIsFine) {
  EXPECT_EQ(HostBuffer::create(0, "a test").value().size_bytes(), 0u);
}

TEST(HostBuffer, RefusesWhatNoMachineHas) {
  const Result<HostBuffer> result = HostBuffer::create(uint64_t{1} << 62, "the weights");
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("the weights"), std::string::npos);
}

TEST(Arena, PlansThenPlacesTheSamePieces) {
  const auto place = [](Arena& arena, std::byte* pieces[4]) {
    pieces[0] = arena.take(1);
    pieces[1] = arena.take(65);
    const uint64_t mark = arena.mark();
    pieces[2] = arena.take(1000);
    arena.rewind(mark);
    pieces[3] = arena.take(10);
  };
  std::byte* pieces[4];
  Arena planned;
  place(planned, pieces);
  EXPECT_EQ(pieces[3], nullptr);
  EXPECT_EQ(planned.peak_bytes(), 256u + 256u + 1024u);

  const HostBuffer buffer = HostBuffer::create(planned.peak_bytes(), "a test").value();
  Arena arena(buffer.bytes());
  place(arena, pieces);
  EXPECT_EQ(pieces[0], buffer.data());
  EXPECT_EQ(pieces[1], buffer.data() + 256);
  EXPECT_EQ(pieces[2], buffer.data() + 512);
  EXPECT_EQ(pieces[3], pieces[2]);  // phases share memory
}

TEST(ArenaDeathTest, TakingTooMuchIsABug) {
  const HostBuffer buffer = HostBuffer::create(512, "a test").value();
  Arena arena(buffer.bytes());
  arena.take(512);
  EXPECT_DEATH(arena.take(1), "arena of 512 bytes");
}

}  // namespace
}  // namespace shoehorn
