// A model cut between card, CPU and stream, in every proportion: what it computes does not depend
// on where weights lie, beyond rounding; and not at all on whether they are streamed.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/gpu.h"
#include "engine/hybrid_forward.h"
#include "engine/open_model.h"

namespace shoehorn {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  std::vector<int32_t> tokens;
  std::vector<std::vector<float>> logits;  // behind each position from the prompt's last on
  uint64_t vram_bytes = 0;
};

class HybridModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << why_no_gpu();
    const char* given = std::getenv("SHOEHORN_TEST_MODEL");
    const char* home = std::getenv("HOME");
    path_ = given ? fs::path(given)
                  : fs::path(home ? home : "") /
                        ".cache/shoehorn/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!fs::exists(path_)) GTEST_SKIP() << path_ << " is absent: tools/fetch_model.py fetches it";
  }

  static OpenOptions options(uint64_t vram, double stream_share) {
    OpenOptions options;
    options.context = 1024;
    options.vram_budget_bytes = vram;
    options.stream_share = stream_share;
    return options;
  }

  Outcome answer(const OpenOptions& options, int64_t new_tokens,
                 const std::vector<int32_t>& prompt) {
    OpenedModel opened = open_model(pool_, path_, options).value();
    Outcome outcome;
    Request request;
    request.prompt = prompt;
    request.max_new_tokens = new_tokens;
    request.score_from = static_cast<int64_t>(prompt.size()) - 1;
    request.on_token = [&](int32_t token) { return outcome.tokens.push_back(token), true; };
    request.on_logits = [&](int64_t, std::span<float> logits) {
      outcome.logits.emplace_back(logits.begin(), logits.end());
    };
    EXPECT_TRUE(opened.engine->submit(std::move(request)).ok());
    while (!opened.engine->idle()) EXPECT_TRUE(opened.engine->step().ok());
    outcome.vram_bytes = opened.engine->forward().vram_bytes();
    return outcome;
  }

  std::vector<int32_t> prompt_tokens(const char* text) {
    const OpenedModel opened = open_model(pool_, path_, options(0, 0)).value();
    return opened.tokenizer->encode(text);
  }

  // The smallest budget that opens, found as a user would: from the error of one that is too small.
  uint64_t smallest_budget(OpenOptions options) {
    uint64_t low = uint64_t{64} << 20, high = uint64_t{8} << 30;
    while (high - low > (uint64_t{4} << 20)) {
      const uint64_t middle = (low + high) / 2;
      options.vram_budget_bytes = middle;
      (open_model(pool_, path_, options).ok() ? high : low) = middle;
    }
    return high;
  }

  fs::path path_;
  ThreadPool pool_{4};
};

// The text of one long answer, from the CPU alone to everything on the card. In precise mode: with
// activations rounded to 8 bits, sums in another order change single codes, and near ties with
// them.
TEST_F(HybridModel, GreedyTextIsTheSameForEveryBudget) {
  const std::vector<int32_t> prompt = prompt_tokens("The history of bread begins");
  const auto precise = [](OpenOptions options) {
    options.precision = Precision::full;
    options.kv_dtype = DType::f32;
    return options;
  };
  const Outcome cpu = answer(precise(options(0, 0)), 256, prompt);
  ASSERT_EQ(cpu.tokens.size(), 256u);
  const uint64_t least = smallest_budget(precise(options(0, 1)));
  for (const double share : {0.0, 0.4, 1.0}) {
    for (const uint64_t more : {0, 8, 24, 40, 64, 512}) {
      SCOPED_TRACE(fmt::format("{} MiB above the least, {} streamed", more, share));
      const uint64_t budget = least + (more << 20);
      const Outcome card = answer(precise(options(budget, share)), 256, prompt);
      EXPECT_LE(card.vram_bytes, budget);
      size_t same = 0;
      while (same < 256 && card.tokens[same] == cpu.tokens[same]) ++same;
      EXPECT_EQ(same, 256u) << "first different token";
    }
  }
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest;
}

// In fast mode two orders of sums may differ by twice what the rounding of activations costs.
TEST_F(HybridModel, FastLogitsStayWithinTheRoundingOfActivations) {
  const std::vector<int32_t> prompt = prompt_tokens(
      "Wheat was first grown in the Fertile Crescent, and with it came the oldest loaves that we "
      "know.");
  OpenOptions full = options(0, 0);
  full.precision = Precision::full;
  full.kv_dtype = DType::f32;
  const std::vector<float> exact = answer(full, 1, prompt).logits.front();
  const std::vector<float> cpu = answer(options(0, 0), 1, prompt).logits.front();
  const double rounding = largest_difference(exact, cpu);
  const uint64_t least = smallest_budget(options(0, 1));
  for (const double share : {0.0, 0.5, 1.0}) {
    for (const uint64_t more : {0, 24, 512}) {
      const Outcome card = answer(options(least + (more << 20), share), 1, prompt);
      EXPECT_LE(largest_difference(card.logits.front(), cpu), 2 * rounding) << more << " " << share;
    }
  }
}

TEST_F(HybridModel, StreamedIsResidentBitForBit) {
  const std::vector<int32_t> prompt = prompt_tokens(
      "Bread is among the oldest foods that people prepare; the first loaves were baked on "
      "stones.");
  const uint64_t least = smallest_budget(options(0, 1));
  const Outcome resident = answer(options(least + (uint64_t{512} << 20), 1), 32, prompt);
  for (const uint64_t more : {0, 16, 48}) {
    const Outcome streamed = answer(options(least + (more << 20), 1), 32, prompt);
    EXPECT_EQ(streamed.tokens, resident.tokens);
    EXPECT_TRUE(streamed.logits == resident.logits) << more << " MiB above the least";
  }
}

TEST_F(HybridModel, ABudgetThatIsTooSmallSaysWhatWouldDo) {
  const Result<OpenedModel> opened = open_model(pool_, path_, options(uint64_t{64} << 20, 0.4));
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("VRAM budget: expected at least"), std::string::npos)
      << opened.error().message;
}

}  // namespace
}  // namespace shoehorn
