#include "engine/scheduler.h"

#include <gtest/gtest.h>

namespace shoehorn {
namespace {

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() {
    ModelConfig config;
    config.num_hidden_layers = 1;
    config.num_key_value_heads = 1;
    config.head_dim = 16;
    kv_ = PagedKv(config, {.page_tokens = 16, .capacity_tokens = 160}, nullptr);
  }

  Sequence sequence(int64_t prompt, int64_t new_tokens) {
    Request request;
    for (int64_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<int32_t>(i));
    request.max_new_tokens = new_tokens;
    return Sequence(next_id_++, std::move(request), 100);
  }

  // What the engine does after a step: rows are cached, a sequence whose tokens are all cached gets
  // one more.
  void advance() {
    for (const Batch::Part& part : batch_.parts) {
      part.sequence->cached += part.row_count;
      if (part.sequence->pending() == 0) part.sequence->tokens.push_back(99);
    }
  }

  PagedKv kv_;
  Batch batch_;
  SequenceId next_id_ = 1;
};

TEST_F(SchedulerTest, CutsALongPromptIntoStepsOfMaxRows) {
  Scheduler scheduler(8);
  Sequence a = sequence(19, 4);
  scheduler.add(&a);
  std::vector<int64_t> rows;
  for (int i = 0; i < 4; ++i) {
    scheduler.next(kv_, batch_);
    rows.push_back(batch_.rows());
    EXPECT_EQ(batch_.parts[0].first_position, a.cached);
    EXPECT_EQ(batch_.positions[0], a.cached);
    advance();
  }
  EXPECT_EQ(rows, (std::vector<int64_t>{8, 8, 3, 1}));
}

TEST_F(SchedulerTest, DecodingRowsComeFirstAndPromptsFillTheRest) {
  Scheduler scheduler(8);
  Sequence a = sequence(3, 20), b = sequence(30, 5);
  scheduler.add(&a);
  scheduler.next(kv_, batch_);
  advance();
  scheduler.add(&b);
  scheduler.next(kv_, batch_);
  ASSERT_EQ(batch_.parts.size(), 2u);
  EXPECT_EQ(batch_.parts[0].sequence, &a);
  EXPECT_EQ(batch_.parts[0].row_count, 1);
  EXPECT_EQ(batch_.parts[1].sequence, &b);
  EXPECT_EQ(batch_.parts[1].row_count, 7);
  EXPECT_EQ(batch_.spans[1].first_row, 1);
  EXPECT_EQ(batch_.tokens[1], 0);
}

TEST_F(SchedulerTest, AdmitsOnlyWhatFitsToTheEndInOrderOfArrival) {
  Scheduler scheduler(64);
  Sequence a = sequence(50, 60), b = sequence(10, 60),
           c = sequence(5, 5);  // 7, 5 and 1 of 10 pages
  scheduler.add(&a);
  scheduler.add(&b);
  scheduler.add(&c);
  scheduler.next(kv_, batch_);
  EXPECT_TRUE(a.admitted);
  EXPECT_FALSE(b.admitted);
  EXPECT_FALSE(c.admitted);  // waits behind b: nobody overtakes
  EXPECT_EQ(kv_.free_page_count(), 3);

  a.finish = FinishReason::length;
  kv_.truncate(a.pages, 0);
  scheduler.next(kv_, batch_);
  EXPECT_TRUE(b.admitted);
  EXPECT_TRUE(c.admitted);
  EXPECT_EQ(batch_.parts.size(), 2u);
}

TEST_F(SchedulerTest, IsIdleWhenAllHaveFinishedOrWereRemoved) {
  Scheduler scheduler(8);
  EXPECT_TRUE(scheduler.idle());
  Sequence a = sequence(3, 1), b = sequence(3, 1);
  scheduler.add(&a);
  scheduler.add(&b);
  scheduler.next(kv_, batch_);
  EXPECT_FALSE(scheduler.idle());
  a.finish = FinishReason::length;
  scheduler.remove(&b);
  scheduler.next(kv_, batch_);
  EXPECT_EQ(batch_.rows(), 0);
  EXPECT_TRUE(scheduler.idle());
}

}  // namespace
}  // namespace shoehorn
