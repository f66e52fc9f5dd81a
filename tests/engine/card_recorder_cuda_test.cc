#include "engine/card_recorder.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/cuda_check.h"
#include "base/gpu.h"
#include "memory/gpu_buffer.h"
#include "memory/host_buffer.h"
#include "memory/streamer.h"

namespace shoehorn {
namespace {

constexpr uint64_t kPiece = uint64_t{16} << 20;

class CardTimeline : public ::testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << why_no_gpu();
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    host_ = HostBuffer::create(3 * kPiece, "a test").value();
    std::fill(host_.bytes().begin(), host_.bytes().end(), std::byte{1});
    pin_ = Pin::create(host_.bytes()).value();
    card_ = GpuBuffer::create(2 * kPiece, "a test").value();
  }
  void TearDown() override {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  void work() { CUDA_CHECK(cudaMemsetAsync(card_.data(), 0, kPiece, stream_)); }

  cudaStream_t stream_ = nullptr;
  HostBuffer host_;
  Pin pin_;
  GpuBuffer card_;
};

TEST_F(CardTimeline, SpansComeInTheOrderOfTheWork) {
  const auto recorder = CardRecorder::start(stream_).value();
  for (int layer = 0; layer < 3; ++layer) {
    const CardSpan span(recorder.get(), stream_, "memset", layer);
    work();
  }
  {
    const CpuSpan span(recorder->cpu(), "sleep", 5);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  const TimelineStep step = recorder->finish().value();
  ASSERT_EQ(step.spans.size(), 4u);
  double last_s = 0;
  int layer = 0, sleeps = 0;
  for (const TimelineSpan& span : step.spans) {
    if (span.lane == TimelineLane::cpu) {
      EXPECT_EQ(span.name, "sleep");
      EXPECT_GE(span.end_s - span.begin_s, 0.003);
      ++sleeps;
      continue;
    }
    EXPECT_EQ(span.layer, layer++);
    EXPECT_GE(span.begin_s, last_s);
    EXPECT_GT(span.end_s, span.begin_s);
    EXPECT_LE(span.end_s, step.seconds);
    last_s = span.end_s;
  }
  EXPECT_EQ(sleeps, 1);
  EXPECT_GE(step.seconds, 0.003);
}

TEST_F(CardTimeline, CopiesOfAStreamerAreSeen) {
  const auto streamer = Streamer::create(card_.bytes(), kPiece).value();
  const Streamer::Schedule schedule = {{.host = host_.data(), .bytes = kPiece},
                                       {.host = host_.data() + kPiece, .bytes = kPiece},
                                       {.host = host_.data() + 2 * kPiece, .bytes = kPiece}};
  const auto recorder = CardRecorder::start(stream_).value();
  streamer->observe(recorder->copies("weights", [&](const std::byte* host) {
    return static_cast<int64_t>((host - host_.data()) / static_cast<int64_t>(kPiece));
  }));
  streamer->follow(&schedule);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(streamer->acquire(stream_).ok());
    streamer->release(stream_);
  }
  streamer->observe(nullptr);
  const TimelineStep step = recorder->finish().value();
  // Those that were queued ahead for the next round may end behind the step.
  ASSERT_GE(step.spans.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(step.spans[i].lane, TimelineLane::copies);
    EXPECT_EQ(step.spans[i].name, "weights");
    EXPECT_EQ(step.spans[i].layer, static_cast<int64_t>(i));
    EXPECT_EQ(step.spans[i].bytes, kPiece);
  }
  EXPECT_GT(busy_share(step, TimelineLane::copies), 0.2);
}

TEST(CardSpan, RecordsNothingForNobody) {
  const CardSpan span(nullptr, nullptr, "nothing", 0);
}

}  // namespace
}  // namespace shoehorn
