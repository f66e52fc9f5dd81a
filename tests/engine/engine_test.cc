#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "engine/token_path.h"
#include "tests/engine/tiny_model.h"

namespace shoehorn {
namespace {

std::vector<int32_t> tokens_of(uint64_t seed, int64_t count) {
  Random random(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(random.below(101)));
  return tokens;
}

// What a sequence gave: the tokens and the logits behind them, by position.
struct Outcome {
  std::vector<int32_t> tokens;
  std::map<int64_t, std::vector<float>> logits;
  bool operator==(const Outcome&) const = default;
};

Request recording(std::vector<int32_t> prompt, int64_t new_tokens, Outcome& outcome) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = new_tokens;
  request.on_token = [&outcome](int32_t token) { return outcome.tokens.push_back(token), true; };
  request.on_logits = [&outcome](int64_t position, std::span<float> logits) {
    outcome.logits[position].assign(logits.begin(), logits.end());
  };
  return request;
}

class EngineTest : public ::testing::Test {
 protected:
  std::unique_ptr<Engine> make(int64_t max_rows = 512, int threads = 2) {
    pool_ = std::make_unique<ThreadPool>(threads);
    TinyOptions options;
    options.max_rows = max_rows;
    options.max_context = 1024;
    options.kv = {.dtype = DType::f32, .page_tokens = 16, .capacity_tokens = 4096};
    return tiny_engine(*pool_, tiny_model(), options);
  }

  static void finish(Engine& engine) {
    while (!engine.idle()) ASSERT_TRUE(engine.step().ok());
  }

  Outcome alone(std::vector<int32_t> prompt, int64_t new_tokens, int64_t max_rows = 512,
                int threads = 2) {
    const std::unique_ptr<Engine> engine = make(max_rows, threads);
    Outcome outcome;
    EXPECT_TRUE(engine->submit(recording(std::move(prompt), new_tokens, outcome)).ok());
    finish(*engine);
    return outcome;
  }

  std::unique_ptr<ThreadPool> pool_;
};

TEST_F(EngineTest, GeneratesAsManyTokensAsAsked) {
  const Outcome outcome = alone(tokens_of(1, 9), 20);
  EXPECT_EQ(outcome.tokens.size(), 20u);
  EXPECT_EQ(outcome.logits.size(), 9u + 19u);
}

TEST_F(EngineTest, ChunksOfThePromptChangeNoBit) {
  const Outcome whole = alone(tokens_of(2, 100), 5);
  for (const int64_t max_rows : {1, 7, 16, 33, 99}) {
    EXPECT_EQ(alone(tokens_of(2, 100), 5, max_rows), whole) << max_rows;
  }
}

TEST_F(EngineTest, ThreadsChangeNoBit) {
  const Outcome one = alone(tokens_of(3, 60), 8, 512, 1);
  EXPECT_EQ(alone(tokens_of(3, 60), 8, 512, 3), one);
}

TEST_F(EngineTest, NeighboursInTheBatchChangeNoBit) {
  const std::vector<int64_t> lengths = {1, 40, 17, 130};
  std::vector<Outcome> expected;
  for (const int64_t n : lengths) expected.push_back(alone(tokens_of(10 + n, n), 12));
  const std::unique_ptr<Engine> engine = make(64);
  std::vector<Outcome> found(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    ASSERT_TRUE(
        engine->submit(recording(tokens_of(10 + lengths[i], lengths[i]), 12, found[i])).ok());
    ASSERT_TRUE(engine->step().ok());  // they arrive while others run
  }
  finish(*engine);
  for (size_t i = 0; i < lengths.size(); ++i) EXPECT_EQ(found[i], expected[i]) << lengths[i];
}

TEST_F(EngineTest, ContinuingFromACachedPrefixChangesNoBit) {
  std::vector<int32_t> longer = tokens_of(4, 50);
  const Outcome fresh = alone(longer, 6);
  const std::unique_ptr<Engine> engine = make();
  Outcome first, second;
  const std::vector<int32_t> shorter(longer.begin(), longer.begin() + 37);
  const SequenceId id = engine->submit(recording(shorter, 3, first)).value();
  finish(*engine);
  const SequenceId next = engine->submit(recording(longer, 6, second), id).value();
  finish(*engine);
  EXPECT_EQ(second.tokens, fresh.tokens);
  EXPECT_EQ(engine->sequence(next).statistics.prompt_tokens, 50 - 37);
  for (const auto& [position, logits] : second.logits) EXPECT_EQ(logits, fresh.logits.at(position));
  // The same prompt again: one token must be computed, for its logits.
  const SequenceId again = engine->submit(recording(longer, 6, second), next).value();
  finish(*engine);
  EXPECT_EQ(engine->sequence(again).statistics.prompt_tokens, 1);
}

TEST_F(EngineTest, StopTokensEndAndAreNotDelivered) {
  const Outcome free = alone(tokens_of(5, 9), 10);
  const std::unique_ptr<Engine> engine = make();
  Outcome outcome;
  Request request = recording(tokens_of(5, 9), 10, outcome);
  request.stop_token_ids = {free.tokens[4]};
  const SequenceId id = engine->submit(std::move(request)).value();
  finish(*engine);
  EXPECT_EQ(engine->sequence(id).finish, FinishReason::stop_token);
  const auto first = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[4]);
  EXPECT_EQ(outcome.tokens, std::vector<int32_t>(free.tokens.begin(), first));
}

TEST_F(EngineTest, TheListenerCanEndASequence) {
  const std::unique_ptr<Engine> engine = make();
  int seen = 0;
  Request request;
  request.prompt = tokens_of(6, 5);
  request.max_new_tokens = 100;
  request.on_token = [&](int32_t) { return ++seen < 3; };
  const SequenceId id = engine->submit(std::move(request)).value();
  finish(*engine);
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(engine->sequence(id).finish, FinishReason::listener);
}

TEST_F(EngineTest, MaskedIdsAreNeverChosen) {
  pool_ = std::make_unique<ThreadPool>(1);
  auto model = tiny_model();
  for (int32_t id = 0; id < 101; ++id) {
    if (id != 42) model->masked_ids.push_back(id);
  }
  TinyOptions options;
  options.kv.capacity_tokens = 64;
  const std::unique_ptr<Engine> engine = tiny_engine(*pool_, std::move(model), options);
  Outcome outcome;
  ASSERT_TRUE(engine->submit(recording(tokens_of(7, 3), 4, outcome)).ok());
  finish(*engine);
  EXPECT_EQ(outcome.tokens, std::vector<int32_t>(4, 42));
}

TEST_F(EngineTest, WaitsForRoomInTheCacheAndThenRuns) {
  const std::unique_ptr<Engine> engine = make();
  std::vector<Outcome> outcomes(6);
  std::vector<SequenceId> ids;
  for (Outcome& outcome : outcomes) {
    ids.push_back(engine->submit(recording(tokens_of(8, 20), 980, outcome)).value());
  }
  // Four fit at a time; the others start as the first are released.
  size_t released = 0;
  while (!engine->idle()) {
    ASSERT_TRUE(engine->step().ok());
    while (released < ids.size() && engine->sequence(ids[released]).finish != FinishReason::none) {
      engine->release(ids[released++]);
    }
  }
  EXPECT_EQ(released, 6u);
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.tokens, outcomes[0].tokens);
}

TEST_F(EngineTest, RefusesRequestsItCannotServe) {
  const std::unique_ptr<Engine> engine = make();
  const auto message = [&](Request request) {
    return engine->submit(std::move(request)).error().message;
  };
  EXPECT_NE(message({}).find("no tokens"), std::string::npos);
  EXPECT_NE(message({.prompt = {101}}).find("101"), std::string::npos);
  EXPECT_NE(message({.prompt = {-1}}).find("-1"), std::string::npos);
  EXPECT_NE(message({.prompt = {1}, .max_new_tokens = 1024}).find("1024"), std::string::npos);
  EXPECT_NE(message({.prompt = {1}, .max_new_tokens = 1, .sampling = {.top_p = 2}}).find("top_p"),
            std::string::npos);
  EXPECT_TRUE(engine->idle());
}

// A tier that fails on one block, as a disk may.
class FailingSource final : public WeightSource {
 public:
  explicit FailingSource(std::unique_ptr<WeightSource> inner) : inner_(std::move(inner)) {}
  int block_count() const override { return inner_->block_count(); }
  void prefetch(int block) override { inner_->prefetch(block); }
  Result<Lease> acquire(int block) override {
    if (block == failing) return fail("block {}: read failed", block);
    return inner_->acquire(block);
  }
  int failing = -1;

 private:
  void release(int) override {}
  std::unique_ptr<WeightSource> inner_;
};

TEST_F(EngineTest, AFailedStepLosesNothing) {
  const Outcome expected = alone(tokens_of(9, 30), 6);
  pool_ = std::make_unique<ThreadPool>(2);
  auto model = tiny_model();
  auto source = std::make_unique<FailingSource>(tiny_weights(model->layout, 1));
  FailingSource* failing = source.get();
  TinyOptions options;
  options.max_context = 1024;
  options.max_rows = 16;
  options.kv = {.dtype = DType::f32, .page_tokens = 16, .capacity_tokens = 4096};
  const std::unique_ptr<Engine> engine =
      tiny_engine(*pool_, std::move(model), options, std::move(source));
  Outcome outcome;
  ASSERT_TRUE(engine->submit(recording(tokens_of(9, 30), 6, outcome)).ok());
  for (int step = 0; !engine->idle(); ++step) {
    for (int block = 0; block < failing->block_count(); ++block) {
      failing->failing = block;
      const Result<void> failed = engine->step();
      if (failed.ok()) continue;
      EXPECT_NE(failed.error().message.find("read failed"), std::string::npos);
    }
    failing->failing = -1;
    ASSERT_TRUE(engine->step().ok());
  }
  EXPECT_EQ(outcome, expected);
}

}  // namespace
}  // namespace shoehorn
