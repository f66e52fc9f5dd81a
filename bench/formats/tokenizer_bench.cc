// Tokenizing on one thread: bytes of text a second, and the time that making a tokenizer takes.
//
//   tokenizer_bench                                     the small tokenizers and texts of
//   tests/golden SHOEHORN_TOKENIZER=model.gguf SHOEHORN_TEXT=a.txt tokenizer_bench     a model's
//   own, on that text
//
// The rival, Hugging Face tokenizers, on the same text: tools/bench_tokenizers.py.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/gguf.h"
#include "formats/tokenizer.h"

namespace shoehorn {
namespace {

constexpr size_t kTextBytes = 4 << 20;
const char* const kFamilies[] = {"deepseek_llm", "deepseek_coder", "deepseek_v3", "qwen2",
                                 "llama_bpe",    "smollm",         "gpt_2"};

std::string golden(const std::string& name) {
  Result<std::string> text =
      read_text_file(std::string(SOURCE_ROOT) + "/tests/golden/tokenizer/" + name);
  CHECK(text.ok(), "{}", text.error().message);
  return std::move(*text);
}

// The golden texts again and again, each time from another one on.
std::string golden_text() {
  const nlohmann::json cases = nlohmann::json::parse(golden("gpt_2.cases.json"));
  std::string text;
  for (size_t round = 0; text.size() < kTextBytes; ++round) {
    for (size_t i = 0; i < cases.size(); ++i) {
      text += cases[(i * 7 + round) % cases.size()]["text"].get<std::string>() + ' ';
    }
  }
  return text;
}

void encode(benchmark::State& state, const TokenizerData& data, const std::string& text) {
  Result<Tokenizer> tokenizer = Tokenizer::create(data);
  CHECK(tokenizer.ok(), "{}", tokenizer.error().message);
  size_t tokens = 0;
  for (auto _ : state) {
    const std::vector<int32_t> ids = tokenizer->encode(text);
    tokens = ids.size();
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["tokens"] = static_cast<double>(tokens);
}

void create(benchmark::State& state, const TokenizerData& data) {
  for (auto _ : state) {
    const Result<Tokenizer> tokenizer = Tokenizer::create(data);
    CHECK(tokenizer.ok(), "{}", tokenizer.error().message);
  }
}

void add(const std::string& name, const TokenizerData& data, const std::string& text) {
  benchmark::RegisterBenchmark(("encode/" + name).c_str(), encode, data, text)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark(("create/" + name).c_str(), create, data)
      ->Unit(benchmark::kMillisecond);
}

Result<void> add_all() {
  const char* text_path = std::getenv("SHOEHORN_TEXT");
  const std::string text = text_path == nullptr ? golden_text() : TRY(read_text_file(text_path));
  const char* model = std::getenv("SHOEHORN_TOKENIZER");
  if (model != nullptr) {
    const GgufFile file = TRY(GgufFile::open(model));
    add(std::filesystem::path(model).stem().string(), TRY(tokenizer_data_from_gguf(file)), text);
    return {};
  }
  for (const std::string family : kFamilies) {
    add(family, TRY(parse_tokenizer_json(golden(family + ".json"), "", family)), text);
  }
  return {};
}

}  // namespace
}  // namespace shoehorn

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const shoehorn::Result<void> added = shoehorn::add_all();
  if (!added.ok()) {
    std::fprintf(stderr, "%s\n", added.error().message.c_str());
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
