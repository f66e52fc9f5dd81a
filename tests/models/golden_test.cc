// Whole models against the logits of the reference implementation: tests/golden/README.md says how
// those were made.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/gpu.h"
#include "engine/open_model.h"
#include "engine/perplexity.h"
#include "ops/softmax.h"

namespace shoehorn {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const fs::path kModels = fs::path(SOURCE_ROOT) / "tests/golden/models";

Json read_json(const fs::path& path) {
  return Json::parse(read_text_file(path).value());
}

struct GoldenFile {
  std::string model;
  std::string file;  // a directory or a .gguf of the same weights
  bool card;         // computed on the card
};

std::vector<GoldenFile> golden_files() {
  std::vector<GoldenFile> files;
  const Json goldens = read_json(kModels / "goldens.json");
  for (const Json& model : goldens["models"]) {
    for (const Json& file : model["files"]) {
      for (const bool card : {false, true}) files.push_back({model["name"], file, card});
    }
  }
  return files;
}

Result<OpenedModel> open_exact(ThreadPool& pool, const fs::path& path, int64_t context,
                               int64_t max_rows, bool card = false) {
  OpenOptions options;
  options.vram_budget_bytes = card ? uint64_t{2} << 30 : 0;
  options.context = context;
  options.need_tokenizer = false;
  options.max_rows = max_rows;
  options.kv_dtype = DType::f32;
  options.precision = Precision::full;
  return open_model(pool, path, options);
}

std::map<int64_t, std::vector<float>> logits_of(Engine& engine, const std::vector<int32_t>& tokens,
                                                const std::vector<int64_t>& positions) {
  std::map<int64_t, std::vector<float>> found;
  Request request;
  request.prompt = tokens;
  request.score_from = positions.front();
  request.on_logits = [&](int64_t position, std::span<float> logits) {
    if (std::find(positions.begin(), positions.end(), position) != positions.end()) {
      found[position].assign(logits.begin(), logits.end());
    }
  };
  const SequenceId id = engine.submit(std::move(request)).value();
  while (!engine.idle()) EXPECT_TRUE(engine.step().ok());
  engine.release(id);
  return found;
}

class GoldenModels : public ::testing::TestWithParam<GoldenFile> {};

// 1e-4 of the largest logit, at short and long context, whatever the size of the steps.
TEST_P(GoldenModels, LogitsAgreeWithTheReference) {
  if (GetParam().card && gpu_count() == 0) GTEST_SKIP() << why_no_gpu();
  const Json goldens = read_json(kModels / "goldens.json");
  const auto model = *std::find_if(goldens["models"].begin(), goldens["models"].end(),
                                   [&](const Json& m) { return m["name"] == GetParam().model; });
  const int64_t vocab = model["vocab_size"];
  const auto prompt = *std::find_if(goldens["prompts"].begin(), goldens["prompts"].end(),
                                    [&](const Json& p) { return p["vocab_size"] == vocab; });
  const std::string raw = read_text_file(kModels / model["logits"].get<std::string>()).value();
  const auto* expected = reinterpret_cast<const float*>(raw.data());

  ThreadPool pool(2);
  OpenedModel opened =
      open_exact(pool, kModels / GetParam().file, 1024, 300, GetParam().card).value();
  int64_t row = 0;
  for (const char* length : {"short", "long"}) {
    const std::vector<int64_t> positions = goldens[std::string(length) + "_positions"];
    const auto found = logits_of(*opened.engine, prompt[length], positions);
    for (const int64_t position : positions) {
      const float* reference = expected + row++ * vocab;
      const std::vector<float>& logits = found.at(position);
      ASSERT_EQ(static_cast<int64_t>(logits.size()), vocab);
      float largest = 0;
      for (int64_t i = 0; i < vocab; ++i) largest = std::max(largest, std::fabs(reference[i]));
      for (int64_t i = 0; i < vocab; ++i) {
        ASSERT_NEAR(logits[i], reference[i], 1e-4f * largest) << length << " position " << position;
      }
    }
  }
  EXPECT_EQ(static_cast<size_t>(row * vocab) * sizeof(float), raw.size());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels, ::testing::ValuesIn(golden_files()),
                         [](const auto& info) {
                           std::string text = info.param.file + (info.param.card ? " card" : "");
                           for (char& c : text) c = std::isalnum(c) ? c : '_';
                           return text;
                         });

// The default model where it was fetched already: weights of Q4_1 and Q8_0 against the same weights
// dequantized.
class DefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const fs::path root = cache ? fs::path(cache) : fs::path(home ? home : "") / ".cache";
    path_ = root / "shoehorn/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!fs::exists(path_)) GTEST_SKIP() << path_ << " is absent: tools/fetch_model.py fetches it";
    goldens_ = read_json(kModels / "smollm2/goldens.json");
  }

  // Largest deviation from the reference's logits, over all recorded positions of all prompts.
  double largest_deviation(Engine& engine) {
    const std::vector<size_t> ids = goldens_["sample_ids"];
    double largest = 0;
    for (const Json& prompt : goldens_["prompts"]) {
      std::vector<int64_t> positions;
      for (const Json& row : prompt["rows"]) positions.push_back(row["position"]);
      const auto found = logits_of(engine, prompt["tokens"], positions);
      for (const Json& row : prompt["rows"]) {
        const std::vector<float>& logits = found.at(row["position"]);
        for (size_t i = 0; i < ids.size(); ++i) {
          largest = std::max<double>(
              largest, std::fabs(logits[ids[i]] - row["sample_logits"][i].get<double>()));
        }
        for (size_t i = 0; i < row["top_ids"].size(); ++i) {
          const size_t id = row["top_ids"][i];
          largest =
              std::max<double>(largest, std::fabs(logits[id] - row["top_logits"][i].get<double>()));
        }
        largest =
            std::max(largest, std::fabs(log_sum_exp(logits) - row["log_sum_exp"].get<double>()));
      }
    }
    return largest;
  }

  fs::path path_;
  Json goldens_;
};

TEST_F(DefaultModel, PreciseLogitsAgreeWithTheReference) {
  ThreadPool pool(2);
  OpenedModel opened = open_exact(pool, path_, 2048, 512).value();
  // Logits reach 40; the goldens are written with 4 decimals.
  EXPECT_LT(largest_deviation(*opened.engine), 4e-3);
}

// Rounding activations to 8 bits and the cache to 16 moves logits a little and the perplexity
// hardly at all.
TEST_F(DefaultModel, FastModeKeepsThePerplexity) {
  ThreadPool pool(2);
  OpenOptions options;
  options.context = 2048;
  options.need_tokenizer = false;
  options.vram_budget_bytes = 0;
  OpenedModel opened = open_model(pool, path_, options).value();
  EXPECT_LT(largest_deviation(*opened.engine), 2.5);
  const std::vector<int32_t> tokens = goldens_["text_tokens"];
  for (const Json& golden : goldens_["perplexity"]) {
    const Perplexity found = perplexity(*opened.engine, tokens,
                                        {.context = golden["context"], .stride = golden["stride"]})
                                 .value();
    EXPECT_EQ(found.scored_tokens, golden["scored_tokens"].get<int64_t>());
    EXPECT_NEAR(found.mean_nll, golden["mean_nll"].get<double>(), 0.02) << golden;
  }
}

}  // namespace
}  // namespace shoehorn
