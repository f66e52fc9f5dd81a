#include "memory/disk_ring.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/random.h"
#include "memory/disk_weights.h"
#include "memory/spill_file.h"
#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

constexpr uint64_t kPage = 4096;

// A file whose page p is full of the number p, and extents of so many pages each.
class DiskRingTest : public ::testing::Test {
 protected:
  ~DiskRingTest() override { EXPECT_TRUE(arm_faults("").ok()); }

  std::unique_ptr<DiskQueue> make_file(const std::vector<uint64_t>& pages) {
    extents_.clear();
    uint64_t count = 0, largest = 0;
    for (const uint64_t n : pages) {
      extents_.push_back({count * kPage, n * kPage});
      count += n;
      largest = std::max(largest, n);
    }
    auto file = create_spill_file(directory_.path(), count * kPage, {}).value();
    HostBuffer contents = HostBuffer::create(count * kPage, "a test").value();
    for (uint64_t page = 0; page < count; ++page) {
      auto* words = reinterpret_cast<uint64_t*>(contents.data() + page * kPage);
      std::fill_n(words, kPage / 8, page);
    }
    EXPECT_TRUE(file->wait(file->write(0, contents.bytes())).ok());
    memory_ = HostBuffer::create(DiskRing::kExtents * largest * kPage, "a test").value();
    return file;
  }

  void expect_extent(const std::byte* bytes, int64_t n) const {
    const DiskRing::Extent& extent = extents_[static_cast<size_t>(n)];
    const auto* words = reinterpret_cast<const uint64_t*>(bytes);
    for (uint64_t i = 0; i < extent.bytes / 8; ++i) {
      ASSERT_EQ(words[i], (extent.offset + i * 8) / kPage) << "extent " << n << ", word " << i;
    }
  }

  TemporaryDirectory directory_;
  std::vector<DiskRing::Extent> extents_;
  HostBuffer memory_;
};

TEST_F(DiskRingTest, EveryExtentInEveryRoundWhateverTheSizes) {
  Random random(5);
  for (int table = 0; table < 30; ++table) {
    std::vector<uint64_t> pages(static_cast<size_t>(1 + random.below(12)));
    for (uint64_t& n : pages) n = 1 + random.below(40);
    const auto file = make_file(pages);
    DiskRing ring(*file, extents_, memory_.bytes());
    for (int round = 0; round < 4; ++round) {
      for (int64_t n = 0; n < ring.extent_count(); ++n) {
        expect_extent(ring.acquire(n).value(), n);
        ring.release(n);
      }
    }
  }
}

// While one extent is in use the next one has room: the ring is large enough for any sizes.
TEST_F(DiskRingTest, TheNextOneIsReadWhileOneIsInUse) {
  Random random(6);
  for (int table = 0; table < 30; ++table) {
    std::vector<uint64_t> pages(static_cast<size_t>(2 + random.below(12)));
    for (uint64_t& n : pages) n = 1 + random.below(40);
    const auto file = make_file(pages);
    DiskRing ring(*file, extents_, memory_.bytes());
    const int64_t count = ring.extent_count();
    for (int64_t step = 0; step < 5 * count; ++step) {
      const std::byte* bytes = ring.acquire(step % count).value();
      const int64_t next = (step + 1) % count;
      ASSERT_TRUE(ring.started(next)) << "table " << table << ", step " << step;
      while (!ring.arrived(next)) {
      }
      expect_extent(bytes, step % count);  // and it did not overwrite this one
      ring.release(step % count);
    }
  }
}

TEST_F(DiskRingTest, SeveralMayBeInUseAndEndInAnyOrder) {
  const auto file = make_file({4, 4, 4, 4, 4});
  DiskRing ring(*file, extents_, memory_.bytes());
  for (int64_t step = 0; step < 20; ++step) {
    const int64_t a = 2 * step % 5, b = (2 * step + 1) % 5;
    const std::byte* first = ring.acquire(a).value();
    const std::byte* second = ring.acquire(b).value();
    expect_extent(first, a);
    expect_extent(second, b);
    ring.release(step % 2 == 0 ? b : a);
    expect_extent(step % 2 == 0 ? first : second, step % 2 == 0 ? a : b);
    ring.release(step % 2 == 0 ? a : b);
  }
}

TEST_F(DiskRingTest, AnotherOrderIsCorrectToo) {
  const auto file = make_file({3, 9, 1, 5, 2, 7});
  DiskRing ring(*file, extents_, memory_.bytes());
  Random random(8);
  for (int i = 0; i < 200; ++i) {
    const auto n = static_cast<int64_t>(random.below(6));
    expect_extent(ring.acquire(n).value(), n);
    ring.release(n);
  }
}

TEST_F(DiskRingTest, ADiskErrorIsReportedAndTheNextRoundIsWhole) {
  const auto file = make_file({3, 9, 1, 5, 2, 7});
  DiskRing ring(*file, extents_, memory_.bytes());
  for (int64_t failing = 0; failing < 6; ++failing) {
    ASSERT_TRUE(arm_faults(fmt::format("file_read:{}+", failing + 1)).ok());
    int64_t n = 0;
    for (Result<const std::byte*> bytes = ring.acquire(0); n < 6 && bytes.ok();
         bytes = ring.acquire(n)) {
      expect_extent(*bytes, n);
      ring.release(n);
      if (++n == 6) break;
    }
    EXPECT_TRUE(arm_faults("").ok());
    // What was read ahead under the fault is reported, once.
    if (const auto first = ring.acquire(0); first.ok()) ring.release(0);
    for (n = 0; n < 6; ++n) {
      expect_extent(ring.acquire(n).value(), n);
      ring.release(n);
    }
  }
}

TEST_F(DiskRingTest, WeightsInMemoryAndOnDiskAreTheSameToTheirReader) {
  const auto pages = std::vector<uint64_t>{3, 9, 1, 5};
  DiskWeights::Parts parts;
  parts.file = make_file({9, 5});
  parts.ring = std::move(memory_);
  parts.on_disk = {false, true, false, true};
  for (const uint64_t n : pages) parts.sizes.push_back(n * kPage);
  parts.resident = HostBuffer::create(4 * kPage, "a test").value();
  std::fill_n(parts.resident.data(), 3 * kPage, std::byte{0xA0});
  std::fill_n(parts.resident.data() + 3 * kPage, kPage, std::byte{0xA2});
  DiskWeights weights(std::move(parts));
  EXPECT_EQ(weights.block_count(), 4);
  EXPECT_EQ(weights.disk_bytes(), 14 * kPage);
  EXPECT_EQ(weights.resident().size(), 4 * kPage);
  for (int round = 0; round < 3; ++round) {
    for (int block = 0; block < 4; ++block) {
      weights.prefetch((block + 1) % 4);
      const Lease lease = weights.acquire(block).value();
      ASSERT_EQ(lease.bytes().size(), pages[static_cast<size_t>(block)] * kPage);
      if (block % 2 == 0) {
        EXPECT_EQ(lease.data()[kPage - 1], block == 0 ? std::byte{0xA0} : std::byte{0xA2});
      } else {
        expect_extent(lease.data(), block / 2);
      }
    }
  }
}

}  // namespace
}  // namespace shoehorn
