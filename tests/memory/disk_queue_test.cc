#include "memory/disk_queue.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/fault.h"
#include "base/random.h"
#include "memory/host_buffer.h"
#include "memory/spill_file.h"
#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kFileBytes = 5 * kMiB + 1234;

struct Way {
  const char* name;
  DiskQueue::Options options;
};

class DiskQueueTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    Random random(7);
    contents_.resize(kFileBytes);
    for (char& c : contents_) c = static_cast<char>(random.below(256));
    path_ = directory_.write("file", contents_);
    Result<std::unique_ptr<DiskQueue>> opened = DiskQueue::open(path_, options());
    if (!opened.ok()) GTEST_SKIP() << opened.error().message;
    queue_ = std::move(opened).value();
  }
  ~DiskQueueTest() override { EXPECT_TRUE(arm_faults("").ok()); }

  static const DiskQueue::Options& options() { return GetParam().options; }

  std::string expected(uint64_t offset, uint64_t bytes) const {
    return contents_.substr(offset, bytes);
  }
  static std::string text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  TemporaryDirectory directory_;
  std::string contents_;
  std::filesystem::path path_;
  HostBuffer memory_ = HostBuffer::create(16 * kMiB, "a test").value();
  std::unique_ptr<DiskQueue> queue_;
};

TEST_P(DiskQueueTest, AnyRunOfBytesAtAnyAddress) {
  constexpr uint64_t kRuns[][2] = {
      {0, 4096},     {0, kFileBytes},       {1, 1},           {4095, 2},
      {4096, 4097},  {8191, kMiB},          {kMiB, 3 * kMiB}, {kFileBytes - 1, 1},
      {12288, 1234}, {77, kFileBytes - 77}, {3 * kMiB, 0}};
  for (const auto& [offset, bytes] : kRuns) {
    for (const uint64_t shift : {0, 1, 77, 4095}) {
      const std::span<std::byte> target = memory_.bytes().subspan(shift, bytes);
      std::fill(memory_.data(), memory_.data() + shift + bytes + 64, std::byte{0xA5});
      ASSERT_TRUE(queue_->wait(queue_->read(offset, target)).ok());
      EXPECT_EQ(text(target), expected(offset, bytes)) << offset << " " << bytes << " " << shift;
      EXPECT_EQ(target.data()[bytes], std::byte{0xA5}) << "behind the target";
      if (shift > 0) {
        EXPECT_EQ(target.data()[-1], std::byte{0xA5}) << "before the target";
      }
    }
  }
}

// Far more requests than fit into a queue, waited for in another order than they were started in.
TEST_P(DiskQueueTest, ManyAreUnderWayAtATime) {
  constexpr int kReads = 1000;
  Random random(3);
  struct Read {
    uint64_t offset, bytes;
    std::span<std::byte> target;
    DiskQueue::Ticket ticket;
  };
  std::vector<Read> reads;
  std::byte* at = memory_.data();
  for (int i = 0; i < kReads; ++i) {
    const bool aligned = i % 2 == 0;
    const uint64_t bytes = aligned ? 4096 * (1 + random.below(3)) : 1 + random.below(9000);
    const uint64_t offset =
        aligned ? 4096 * random.below(kMiB / 1024) : random.below(kFileBytes - bytes);
    const std::span<std::byte> target{at, bytes};
    reads.push_back({offset, bytes, target, queue_->read(offset, target)});
    at += 4096 * 4;
  }
  for (int i = kReads - 1; i >= 0; --i) {
    const Read& read = reads[static_cast<size_t>(i * 7 % kReads)];
    ASSERT_TRUE(queue_->wait(read.ticket).ok());
    EXPECT_EQ(text(read.target), expected(read.offset, read.bytes));
  }
}

TEST_P(DiskQueueTest, FinishedMeansThatWaitingDoesNotWait) {
  const DiskQueue::Ticket ticket = queue_->read(0, memory_.bytes().first(4 * kMiB));
  while (!queue_->finished(ticket)) {
  }
  EXPECT_TRUE(queue_->wait(ticket).ok());
  EXPECT_EQ(text(memory_.bytes().first(4 * kMiB)), expected(0, 4 * kMiB));
}

TEST_P(DiskQueueTest, TheEndOfTheFileIsNamed) {
  const Result<void> read =
      queue_->wait(queue_->read(5 * kMiB - 4096, memory_.bytes().first(3 * kMiB)));
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr(path_.string()));
  EXPECT_THAT(read.error().message, HasSubstr("became shorter"));
  EXPECT_THAT(read.error().message, HasSubstr("expected"));
}

TEST_P(DiskQueueTest, AFileThatShrinksEndsInAnErrorAndTheQueueGoesOn) {
  std::filesystem::resize_file(path_, 2 * kMiB);
  const DiskQueue::Ticket gone = queue_->read(kMiB, memory_.bytes().first(2 * kMiB));
  const DiskQueue::Ticket there = queue_->read(kMiB, memory_.bytes().subspan(4 * kMiB, kMiB));
  const Result<void> read = queue_->wait(gone);
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("reading at offset 2097152"));
  ASSERT_TRUE(queue_->wait(there).ok());
  EXPECT_EQ(text(memory_.bytes().subspan(4 * kMiB, kMiB)), expected(kMiB, kMiB));
}

// A file that answers EIO: memory of this process where nothing is mapped.
TEST_P(DiskQueueTest, ADiskErrorIsNamed) {
  const auto opened = DiskQueue::open("/proc/self/mem", options());
  if (!opened.ok()) GTEST_SKIP() << opened.error().message;
  const Result<void> read = (*opened)->wait((*opened)->read(4096, memory_.bytes().first(4096)));
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message,
              HasSubstr("/proc/self/mem: reading at offset 4096: expected 4096 bytes, found an "
                        "error: Input/output error"));
}

TEST_P(DiskQueueTest, AnInjectedErrorIsNamedAndTheNextReadSucceeds) {
  ASSERT_TRUE(arm_faults("file_read:1").ok());
  EXPECT_FALSE(queue_->wait(queue_->read(0, memory_.bytes().first(4 * kMiB))).ok());
  EXPECT_TRUE(queue_->wait(queue_->read(0, memory_.bytes().first(4 * kMiB))).ok());
}

TEST_P(DiskQueueTest, WritesAreReadBack) {
  DiskQueue::Options writable = options();
  writable.writable = true;
  const auto queue = DiskQueue::open(path_, writable).value();
  std::vector<DiskQueue::Ticket> tickets;
  for (uint64_t i = 0; i < 4; ++i) {
    const std::span<std::byte> source = memory_.bytes().subspan(i * kMiB, kMiB);
    std::fill(source.begin(), source.end(), static_cast<std::byte>(i + 1));
    tickets.push_back(queue->write((3 - i) * kMiB, source));
  }
  for (const DiskQueue::Ticket ticket : tickets) ASSERT_TRUE(queue->wait(ticket).ok());
  const std::span<std::byte> target = memory_.bytes().subspan(8 * kMiB, 4 * kMiB);
  ASSERT_TRUE(queue->wait(queue->read(0, target)).ok());
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(target[i * kMiB], static_cast<std::byte>(4 - i));
    EXPECT_EQ(target[i * kMiB + kMiB - 1], static_cast<std::byte>(4 - i));
  }
}

// Destroyed with everything under way: memory is written no more afterwards.
TEST_P(DiskQueueTest, EndsWhenWhatWasStartedIsFinished) {
  for (int i = 0; i < 100; ++i) (void)queue_->read(0, memory_.bytes().first(4 * kMiB));
  queue_.reset();
  std::fill(memory_.bytes().begin(), memory_.bytes().end(), std::byte{9});
  for (const std::byte byte : memory_.bytes().first(4 * kMiB)) ASSERT_EQ(byte, std::byte{9});
}

TEST_P(DiskQueueTest, AMissingFileIsAnError) {
  const auto opened = DiskQueue::open(directory_.path() / "none", options());
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("none: No such file"));
}

INSTANTIATE_TEST_SUITE_P(
    All, DiskQueueTest,
    ::testing::Values(
        Way{"uring_direct", {.backend = DiskQueue::Backend::io_uring}},
        Way{"uring_cached", {.direct = false, .backend = DiskQueue::Backend::io_uring}},
        Way{"threads_direct", {.backend = DiskQueue::Backend::threads}},
        Way{"threads_cached", {.direct = false, .backend = DiskQueue::Backend::threads}}),
    [](const auto& info) { return info.param.name; });

TEST(DiskQueue, WorksOnAFileSystemInMemory) {
  if (::access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "no /dev/shm";
  const auto file = create_spill_file("/dev/shm", kMiB, {}).value();
  HostBuffer memory = HostBuffer::create(2 * kMiB, "a test").value();
  std::fill_n(memory.data(), kMiB, std::byte{3});
  ASSERT_TRUE(file->wait(file->write(0, memory.bytes().first(kMiB))).ok());
  ASSERT_TRUE(file->wait(file->read(0, memory.bytes().subspan(kMiB, kMiB))).ok());
  EXPECT_EQ(memory.data()[kMiB + 17], std::byte{3});
}

TEST(SpillFile, LeavesNothingAndTakesItsRoomAtOnce) {
  const TemporaryDirectory directory;
  const std::filesystem::path folder = directory.path() / "a/spill";
  const auto file = create_spill_file(folder, 3 * kMiB, {}).value();
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  HostBuffer memory = HostBuffer::create(3 * kMiB, "a test").value();
  EXPECT_TRUE(file->wait(file->read(0, memory.bytes())).ok());
}

TEST(SpillFile, AFullDiskIsNamedWithWhatIsNeededAndFree) {
  const TemporaryDirectory directory;
  const auto made = create_spill_file(directory.path(), uint64_t{1} << 60, {});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr(directory.path().string()));
  EXPECT_THAT(made.error().message, HasSubstr("expected 1048576 TiB free on the disk, found "));
}

TEST(SpillFile, ADirectoryThatCannotBeMadeIsNamed) {
  const TemporaryDirectory directory;
  const auto file = directory.write("file", "not a directory");
  const auto made = create_spill_file(file / "spill", kMiB, {});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr(file.string()));
}

}  // namespace
}  // namespace shoehorn
