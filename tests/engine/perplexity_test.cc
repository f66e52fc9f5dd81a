#include "engine/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/softmax.h"
#include "tests/engine/tiny_model.h"

namespace shoehorn {
namespace {

class PerplexityTest : public ::testing::Test {
 protected:
  PerplexityTest() {
    TinyOptions options;
    options.kv = {.dtype = DType::f32, .capacity_tokens = 512};
    options.max_context = 512;
    engine_ = tiny_engine(pool_, tiny_model(), options);
    Random random(3);
    for (int i = 0; i < 150; ++i) tokens_.push_back(static_cast<int32_t>(random.below(101)));
  }

  // The definition: each token scored in a window computed for it alone.
  double direct_mean(int64_t context, int64_t stride, int32_t bos) {
    const int64_t length = context - (bos >= 0 ? 1 : 0);
    double sum = 0;
    int64_t count = 0, scored_end = 1;
    for (int64_t begin = 0; scored_end < 150; begin += stride) {
      const int64_t end = std::min<int64_t>(begin + length, 150);
      for (int64_t t = std::max(scored_end, begin + (begin > 0 && bos >= 0 ? 0 : 1)); t < end;
           ++t) {
        std::vector<int32_t> prompt(tokens_.begin() + begin, tokens_.begin() + t);
        if (bos >= 0) prompt.insert(prompt.begin(), bos);
        sum += nll(prompt, tokens_[t]);
        ++count;
      }
      scored_end = end;
    }
    return sum / static_cast<double>(count);
  }

  double nll(const std::vector<int32_t>& prompt, int32_t next) {
    double value = 0;
    Request request;
    request.prompt = prompt;
    request.score_from = static_cast<int64_t>(prompt.size()) - 1;
    request.on_logits = [&](int64_t, std::span<float> logits) {
      value = log_sum_exp(logits) - logits[next];
    };
    const SequenceId id = engine_->submit(std::move(request)).value();
    while (!engine_->idle()) EXPECT_TRUE(engine_->step().ok());
    engine_->release(id);
    return value;
  }

  ThreadPool pool_{2};
  std::unique_ptr<Engine> engine_;
  std::vector<int32_t> tokens_;
};

TEST_F(PerplexityTest, AgreesWithItsDefinition) {
  const struct {
    int64_t context, stride;
    int32_t bos;
    int64_t scored;
  } cases[] = {
      {200, 200, -1, 149}, {64, 64, -1, 147}, {64, 16, -1, 149}, {33, 32, 7, 149}, {33, 8, 7, 149}};
  for (const auto& c : cases) {
    const Result<Perplexity> found = perplexity(
        *engine_, tokens_, {.context = c.context, .stride = c.stride, .bos_token_id = c.bos});
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(found->scored_tokens, c.scored) << c.context << " " << c.stride;
    EXPECT_NEAR(found->mean_nll, direct_mean(c.context, c.stride, c.bos), 1e-9);
    EXPECT_DOUBLE_EQ(found->value(), std::exp(found->mean_nll));
    EXPECT_GT(found->standard_error, 0);
  }
}

TEST_F(PerplexityTest, RefusesWhatItCannotScore) {
  const auto message = [&](size_t count, PerplexityOptions options) {
    return perplexity(*engine_, std::span(tokens_).first(count), options).error().message;
  };
  EXPECT_NE(message(1, {}).find("at least 2"), std::string::npos);
  EXPECT_NE(message(10, {.context = 1, .stride = 1}).find("context"), std::string::npos);
  EXPECT_NE(message(10, {.context = 8, .stride = 9}).find("stride"), std::string::npos);
  EXPECT_NE(message(10, {.context = 8, .stride = 0}).find("stride"), std::string::npos);
}

}  // namespace
}  // namespace shoehorn
