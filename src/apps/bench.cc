// shoehorn bench: prefill and decode speed over prompt lengths, depths and batch sizes, each beside
// its limit.

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/command.h"
#include "apps/model_options.h"
#include "apps/terminal.h"
#include "base/clock.h"
#include "base/random.h"
#include "models/cost.h"
#include "plan/hardware.h"

namespace shoehorn {
namespace {

struct BenchOptions {
  ModelOptions model;
  std::vector<int64_t> prompt = {512};
  std::vector<int64_t> generate = {128};
  std::vector<int64_t> depth = {0};
  std::vector<int64_t> batch = {1};
  int repetitions = 5;
  bool json = false;
};

// One measurement: `batch` sequences at `depth` cached tokens compute `tokens` each, in one prompt
// or one by one.
struct Case {
  bool prefill;
  int64_t tokens;
  int64_t depth;
  int64_t batch;

  std::string label() const {
    std::string text = fmt::format("{}{}", prefill ? "pp" : "tg", tokens);
    if (depth > 0) text += fmt::format("@d{}", depth);
    if (batch > 1) text += fmt::format(" x{}", batch);
    return text;
  }
};

struct Measurement {
  Case test;
  std::vector<double> tokens_per_s;  // one a repetition
  double bandwidth_share = 0;        // of the bytes a step must read, at the median speed

  double median() const {
    std::vector<double> sorted = tokens_per_s;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

std::vector<Case> cases_of(const BenchOptions& options) {
  std::vector<Case> cases;
  for (const int64_t batch : options.batch) {
    for (const int64_t depth : options.depth) {
      for (const int64_t tokens : options.prompt) {
        if (tokens > 0) cases.push_back({true, tokens, depth, batch});
      }
      for (const int64_t tokens : options.generate) {
        if (tokens > 0) cases.push_back({false, tokens, depth, batch});
      }
    }
  }
  return cases;
}

std::vector<int32_t> random_tokens(Random& random, int64_t count, int64_t vocab_size) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random.below(vocab_size));
  return tokens;
}

// Steps until every sequence has `prompt_rows` tokens in the cache (and with it its first new
// token).
Result<void> step_until_cached(Engine& engine, const std::vector<SequenceId>& ids, int64_t tokens) {
  const auto behind = [&](SequenceId id) { return engine.sequence(id).cached < tokens; };
  while (std::any_of(ids.begin(), ids.end(), behind)) TRY(engine.step());
  return {};
}

// Seconds that the measured part took.
Result<double> run_once(Engine& engine, const Case& test, Random& random) {
  // A prompt test computes depth tokens first, unmeasured; then its own. A generation test needs at
  // least one token to start from.
  const int64_t before = test.prefill ? test.depth : std::max<int64_t>(test.depth, 1);
  std::vector<SequenceId> ids;
  for (int64_t i = 0; i < test.batch; ++i) {
    Request request;
    request.prompt = random_tokens(random, before + (test.prefill ? test.tokens : 0),
                                   engine.model().config.vocab_size);
    request.max_new_tokens = test.prefill ? 1 : test.tokens + 1;
    ids.push_back(TRY(engine.submit(std::move(request))));
  }
  TRY(step_until_cached(engine, ids, before));
  const Stopwatch clock;
  TRY(step_until_cached(engine, ids, before + test.tokens));
  const double seconds = clock.seconds();
  for (const SequenceId id : ids) engine.release(id);
  return seconds;
}

Result<Measurement> measure(Engine& engine, const Case& test, int repetitions, double read_limit) {
  Measurement measured{.test = test};
  Random random(1);
  TRY(run_once(engine, test, random));  // warm-up
  for (int i = 0; i < repetitions; ++i) {
    const double seconds = TRY(run_once(engine, test, random));
    measured.tokens_per_s.push_back(static_cast<double>(test.tokens * test.batch) / seconds);
  }
  if (!test.prefill) {
    const Cost cost = step_cost(engine.model().config, engine.model().layout,
                                {.sequences = test.batch,
                                 .depth = test.depth + test.tokens / 2,
                                 .kv_dtype = engine.options().kv.dtype});
    measured.bandwidth_share =
        cost.bytes * measured.median() / static_cast<double>(test.batch) / read_limit;
  }
  return measured;
}

void print_table(const OpenedModel& model, const std::vector<Measurement>& all, int threads,
                 double read_limit) {
  std::printf("%s, %d threads, %s, weights read at up to %.1f GB/s\n\n",
              model.checkpoint.config().model_name.c_str(), threads, name(cpu_isa()),
              read_limit / 1e9);
  Table table({"test", "tokens/s", "min", "max", "share of read limit"});
  for (const Measurement& m : all) {
    const auto [low, high] = std::minmax_element(m.tokens_per_s.begin(), m.tokens_per_s.end());
    table.add({m.test.label(), fmt::format("{:.2f}", m.median()), fmt::format("{:.2f}", *low),
               fmt::format("{:.2f}", *high),
               m.test.prefill ? "" : fmt::format("{:.0f} %", 100 * m.bandwidth_share)});
  }
  std::fputs(table.text().c_str(), stdout);
}

void print_json(const OpenedModel& model, const std::vector<Measurement>& all, int threads,
                double read_limit) {
  nlohmann::ordered_json json = {
      {"model", model.checkpoint.name()}, {"threads", threads},
      {"isa", name(cpu_isa())},           {"version", SHOEHORN_VERSION},
      {"read_bytes_per_s", read_limit},   {"results", nlohmann::ordered_json::array()}};
  for (const Measurement& m : all) {
    nlohmann::ordered_json result = {
        {"test", m.test.label()},   {"kind", m.test.prefill ? "prefill" : "decode"},
        {"tokens", m.test.tokens},  {"depth", m.test.depth},
        {"batch", m.test.batch},    {"tokens_per_s", m.median()},
        {"samples", m.tokens_per_s}};
    if (!m.test.prefill) result["read_limit_share"] = m.bandwidth_share;
    json["results"].push_back(std::move(result));
  }
  std::printf("%s\n", json.dump(2).c_str());
}

Result<void> bench(BenchOptions options) {
  const std::vector<Case> cases = cases_of(options);
  if (cases.empty())
    return fail("--prompt and --generate: expected a length above 0 in one of them");
  int64_t sequences = 1, context = 1;
  for (const Case& test : cases) {
    sequences = std::max(sequences, test.batch);
    context = std::max(context, std::max<int64_t>(test.depth, 1) + test.tokens + 1);
  }
  if (options.model.context == 0) options.model.context = context;
  const std::unique_ptr<ThreadPool> pool = make_pool(options.model);
  OpenedModel model = TRY(open_for_command(*pool, options.model, sequences, false));

  double read_limit = 0;
  {
    const Lease first = TRY(model.engine->weights().acquire(0));
    const uint64_t sample = std::min(uint64_t{1} << 30, model.engine->model().layout.size_bytes());
    read_limit = measure_read_bandwidth(*pool, {first.data(), sample});
  }
  std::vector<Measurement> all;
  ProgressBar bar("measuring");
  for (const Case& test : cases) {
    bar.update(all.size(), cases.size());
    all.push_back(TRY(measure(*model.engine, test, options.repetitions, read_limit)));
  }
  bar.clear();
  (options.json ? print_json : print_table)(model, all, pool->thread_count(), read_limit);
  return {};
}

}  // namespace

Command add_bench_command(CLI::App& app) {
  CLI::App* parser = app.add_subcommand(
      "bench",
      "Measure prefill and decode speed\n\n"
      "Every combination of the lists is measured: pp512 is a prompt of 512 tokens, tg128 are\n"
      "128 tokens generated one by one, @d1024 after 1024 tokens of context, x4 in a batch of 4.");
  auto options = std::make_shared<BenchOptions>();
  add_model_options(*parser, options->model);
  const auto list = [&](const char* flags, std::vector<int64_t>& target, const char* help) {
    parser->add_option(flags, target, help)
        ->delimiter(',')
        ->check(CLI::Range(0, 1 << 24))
        ->capture_default_str();
  };
  list("-p,--prompt", options->prompt, "Prompt lengths, with commas; 0: none");
  list("-n,--generate", options->generate, "Numbers of generated tokens; 0: none");
  list("-d,--depth", options->depth, "Tokens in the cache before the measurement");
  parser->add_option("-b,--batch", options->batch, "Sequences at once")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  parser->add_option("-r,--repetitions", options->repetitions, "Counted runs after one warm-up")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  parser->add_flag("--json", options->json, "Print JSON");
  return {parser, [options] { return bench(*options); }};
}

}  // namespace shoehorn
