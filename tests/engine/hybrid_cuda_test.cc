// A model cut between card, CPU and stream, in every proportion: what it computes does not depend
// on where weights lie, beyond rounding; and not at all on whether they are streamed.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/bytes.h"
#include "base/fault.h"
#include "base/gpu.h"
#include "base/memory_use.h"
#include "engine/hybrid_forward.h"
#include "engine/open_model.h"

namespace shoehorn {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  std::vector<int32_t> tokens;
  std::vector<std::vector<float>> logits;  // behind each position from the prompt's last on
  uint64_t vram_bytes = 0;
  uint64_t disk_bytes = 0;  // read in every step
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
    outcome.disk_bytes = opened.engine->forward().weight_bytes().disk;
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

  // The smallest RAM that opens now, to a few MiB: what the process holds already is part of it.
  uint64_t smallest_ram(OpenOptions options) {
    options.ram_budget_bytes = 1;
    const Result<OpenedModel> opened = open_model(pool_, path_, options);
    EXPECT_FALSE(opened.ok());
    const std::string marker = "RAM budget: expected at least ";
    const std::string& message = opened.error().message;
    const size_t at = message.find(marker);
    EXPECT_NE(at, std::string::npos) << message;
    const std::string size = message.substr(at + marker.size());
    return parse_bytes(size.substr(0, size.find(" ("))).value() + (uint64_t{3} << 20);
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

// Groups that RAM does not hold come from disk, and are the same. The prompt has more rows than a
// step that shares with the CPU: two schedules take turns.
TEST_F(HybridModel, FromDiskIsResidentBitForBit) {
  const std::vector<int32_t> prompt = prompt_tokens(
      "Bread is among the oldest foods that people prepare; the first loaves were baked on "
      "stones.");
  const uint64_t vram = smallest_budget(options(0, 1));
  const Outcome resident = answer(options(vram, 1), 32, prompt);
  EXPECT_EQ(resident.disk_bytes, 0u);
  for (const std::optional<double> share : {std::optional(1.0), std::optional<double>()}) {
    for (const uint64_t more : {0, 2, 4}) {
      SCOPED_TRACE(fmt::format("{} MiB above the least, all streamed {}", more, share.has_value()));
      OpenOptions open = options(vram, 1);
      open.stream_share = share;
      open.ram_budget_bytes = smallest_ram(open) + (more << 20);
      const Outcome from_disk = answer(open, 32, prompt);
      EXPECT_GT(from_disk.disk_bytes, 0u);
      EXPECT_LE(private_memory_bytes(), *open.ram_budget_bytes);
      EXPECT_EQ(from_disk.tokens.size(), 32u);
      if (!share) continue;  // else the CPU has a part, and sums are others
      EXPECT_EQ(from_disk.tokens, resident.tokens);
      EXPECT_TRUE(from_disk.logits == resident.logits);
    }
  }
}

TEST_F(HybridModel, ADiskThatFailsEndsTheStepAndNoMore) {
  const std::vector<int32_t> prompt = prompt_tokens("A loaf of bread, and another one");
  OpenOptions open = options(smallest_budget(options(0, 1)), 1);
  open.ram_budget_bytes = smallest_ram(open);
  OpenedModel opened = open_model(pool_, path_, open).value();
  std::vector<int32_t> expected;
  for (const char* faults : {"", "file_read:1+", "", "file_read:7+", "", "file_read:40+", ""}) {
    ASSERT_TRUE(arm_faults(faults).ok());
    std::vector<int32_t> tokens;
    Request request = {.prompt = prompt, .max_new_tokens = 16};
    request.on_token = [&](int32_t token) { return tokens.push_back(token), true; };
    const SequenceId id = opened.engine->submit(std::move(request)).value();
    Result<void> step;
    while (step.ok() && !opened.engine->idle()) step = opened.engine->step();
    ASSERT_TRUE(arm_faults("").ok());
    opened.engine->release(id);
    EXPECT_EQ(step.ok(), *faults == '\0');
    if (!step.ok()) {
      EXPECT_NE(step.error().message.find("Input/output error"), std::string::npos);
      continue;
    }
    if (expected.empty()) expected = tokens;
    EXPECT_EQ(tokens, expected);
  }
}

// Several requests at once, with or without somebody who looks at logits: those who do make the
// host choose; the others leave it to the card, which computes ahead.
std::vector<std::vector<int32_t>> answers(OpenedModel opened, std::span<const Request> requests,
                                          bool look) {
  std::vector<std::vector<int32_t>> tokens(requests.size());
  size_t next = 0;
  const auto submit = [&](size_t i) {
    Request request = requests[i];
    request.on_token = [&tokens, i](int32_t token) { return tokens[i].push_back(token), true; };
    if (look) {
      request.score_from = INT64_MAX;
      request.on_logits = [](int64_t, std::span<float>) {};
    }
    EXPECT_TRUE(opened.engine->submit(std::move(request)).ok());
  };
  // The later ones come while the earlier ones are answered.
  for (int step = 0; next < requests.size() || !opened.engine->idle(); ++step) {
    if (next < requests.size() && step % 5 == 0) submit(next++);
    EXPECT_TRUE(opened.engine->step().ok());
  }
  return tokens;
}

TEST_F(HybridModel, TheCardChoosesTheTokensThatTheHostWould) {
  const std::vector<int32_t> prompt = prompt_tokens("Once upon a time there was a baker who");
  std::vector<Request> requests;
  for (int i = 0; i < 7; ++i) {
    Request request = {.prompt = prompt, .max_new_tokens = 3 + 23 * i};
    request.prompt.resize(prompt.size() - static_cast<size_t>(i));
    request.stop_token_ids = {284, 30};  // some end early: an article, a full stop
    if (i % 3 == 1) request.sampling = {.temperature = 1.2, .top_p = 0.9, .seed = 7};
    if (i % 3 == 2) request.sampling = {.temperature = 0.8, .top_k = 30, .seed = 8};
    if (i == 5) request.sampling.repetition_penalty = 1.3;  // the host's business
    requests.push_back(request);
  }
  for (const bool everything_on_card : {true, false}) {
    OpenOptions open = options(0, 0.5);
    open.sequences = 5;
    open.vram_budget_bytes =
        everything_on_card ? uint64_t{4} << 30 : smallest_budget(open) + (uint64_t{24} << 20);
    for (size_t count : {size_t{1}, requests.size()}) {
      const std::span<const Request> some(requests.data() + 1, count > 1 ? count - 1 : 1);
      const auto by_card = answers(open_model(pool_, path_, open).value(), some, false);
      const auto by_host = answers(open_model(pool_, path_, open).value(), some, true);
      EXPECT_TRUE(by_card == by_host) << count << " requests, all on card " << everything_on_card;
      EXPECT_FALSE(by_card.front().empty());
    }
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
