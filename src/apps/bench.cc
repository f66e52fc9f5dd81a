// shoehorn bench: prefill and decode speed over prompt lengths, depths and batch sizes, each beside
// its limit.

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/command.h"
#include "apps/measured_machine.h"
#include "apps/model_options.h"
#include "apps/terminal.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory_use.h"
#include "base/random.h"
#include "engine/statistics.h"
#include "memory/spill_file.h"
#include "models/cost.h"
#include "plan/hardware.h"
#include "plan/placement.h"

namespace shoehorn {
namespace {

constexpr uint64_t kDiskSampleBytes = uint64_t{1} << 30;

struct BenchOptions {
  ModelOptions model;
  std::vector<int64_t> prompt = {512};
  std::vector<int64_t> generate = {128};
  std::vector<int64_t> depth = {0};
  std::vector<int64_t> batch = {1};
  int repetitions = 5;
  std::string timeline;  // a file; empty: none
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

// What the measurements are held against.
struct Limits {
  double read_bytes_per_s = 0;            // host memory, all threads
  std::optional<MachineProfile> machine;  // where a card computes
  ModelInventory inventory;
  WeightBytes weights;
  double disk_bytes_per_s = 0;  // where weights are read from disk
  uint64_t vram_peak_bytes = 0, ram_peak_bytes = 0;
  double open_seconds = 0;  // from the files to the first step

  // Seconds that one decoding step takes at least: host memory read by CPU and copies together,
  // VRAM, or the disk, whichever is longest. `bytes`: what the step must read in all.
  double step_seconds(double bytes) const {
    const double disk = weights.disk > 0 ? static_cast<double>(weights.disk) / disk_bytes_per_s : 0;
    return std::max(disk, memory_seconds(bytes));
  }
  double memory_seconds(double bytes) const {
    if (!machine) return bytes / read_bytes_per_s;
    const double together =
        machine->cpu_read_beside_copy_bytes_per_s + machine->h2d_beside_read_bytes_per_s;
    const auto host = static_cast<double>(weights.host());
    return std::max(host / together,
                    (bytes - static_cast<double>(weights.cpu)) / machine->vram_bytes_per_s);
  }
};

struct Measurement {
  Case test;
  std::vector<double> tokens_per_s;  // one a repetition
  double limit_share = 0;            // the least time of a step over the median one
  double planned_tokens_per_s = 0;   // where a card computes
  uint64_t planned_vram_bytes = 0;

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

// What `shoehorn plan` says of a test on this card: from the machine's rates, before any run.
void plan_case(const Engine& engine, const Limits& limits, Measurement& measured) {
  const Case& test = measured.test;
  const Forward& forward = engine.forward();
  const Goal goal = {.vram_budget_bytes = forward.vram_budget_bytes(),
                     .ram_budget_bytes = forward.ram_budget_bytes(),
                     .context = engine.options().max_context,
                     .batch = test.batch,
                     .kv_dtype = engine.kv().layer(0).dtype,
                     .prompt_tokens = test.tokens,
                     .prefill_rows = forward.limits().max_rows};
  const Result<Placement> plan = plan_placement(limits.inventory, *limits.machine, goal);
  if (!plan) return;
  measured.planned_vram_bytes = plan->vram.total();
  measured.planned_tokens_per_s =
      test.prefill ? plan->prefill_tokens_per_s : plan->decode_tokens_per_s;
}

Result<Measurement> measure(Engine& engine, const Case& test, int repetitions,
                            const Limits& limits) {
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
                                 .kv_dtype = engine.kv().layer(0).dtype});
    measured.limit_share =
        limits.step_seconds(cost.bytes) * measured.median() / static_cast<double>(test.batch);
  }
  if (limits.machine) plan_case(engine, limits, measured);
  return measured;
}

void print_table(const OpenedModel& model, const std::vector<Measurement>& all, int threads,
                 const Limits& limits) {
  std::printf("%s, %d threads, %s, host weights read at up to %.1f GB/s, opened in %.1f s\n",
              model.checkpoint.config().model_name.c_str(), threads, name(cpu_isa()),
              limits.read_bytes_per_s / 1e9, limits.open_seconds);
  if (limits.machine) {
    std::printf(
        "%s\nVRAM of the process at its peak %s; together: CPU %.1f GB/s beside %.1f GB/s "
        "to the card\n",
        model.engine->forward().describe().c_str(), format_bytes(limits.vram_peak_bytes).c_str(),
        limits.machine->cpu_read_beside_copy_bytes_per_s / 1e9,
        limits.machine->h2d_beside_read_bytes_per_s / 1e9);
  }
  if (limits.weights.disk > 0) {
    std::printf("%s of weights read from disk in every step; the disk gives up to %.2f GB/s\n",
                format_bytes(limits.weights.disk).c_str(), limits.disk_bytes_per_s / 1e9);
  }
  std::printf("RAM of the process at its peak %s\n", format_bytes(limits.ram_peak_bytes).c_str());
  std::fputs("\n", stdout);
  std::vector<std::string> columns = {"test", "tokens/s", "min", "max", "share of limit"};
  if (limits.machine) columns.push_back("planned");
  Table table(columns);
  for (const Measurement& m : all) {
    const auto [low, high] = std::minmax_element(m.tokens_per_s.begin(), m.tokens_per_s.end());
    std::vector<std::string> row = {
        m.test.label(), fmt::format("{:.2f}", m.median()), fmt::format("{:.2f}", *low),
        fmt::format("{:.2f}", *high),
        m.test.prefill ? "" : fmt::format("{:.0f} %", 100 * m.limit_share)};
    if (limits.machine) row.push_back(fmt::format("{:.2f}", m.planned_tokens_per_s));
    table.add(row);
  }
  std::fputs(table.text().c_str(), stdout);
}

void print_json(const OpenedModel& model, const std::vector<Measurement>& all, int threads,
                const Limits& limits) {
  nlohmann::ordered_json json = {{"model", model.checkpoint.name()},
                                 {"threads", threads},
                                 {"isa", name(cpu_isa())},
                                 {"version", SHOEHORN_VERSION},
                                 {"read_bytes_per_s", limits.read_bytes_per_s},
                                 {"open_seconds", limits.open_seconds},
                                 {"vram_weight_bytes", limits.weights.vram},
                                 {"cpu_weight_bytes", limits.weights.cpu},
                                 {"streamed_weight_bytes", limits.weights.stream},
                                 {"disk_weight_bytes", limits.weights.disk},
                                 {"disk_bytes_per_s", limits.disk_bytes_per_s},
                                 {"vram_peak_bytes", limits.vram_peak_bytes},
                                 {"ram_peak_bytes", limits.ram_peak_bytes},
                                 {"results", nlohmann::ordered_json::array()}};
  if (limits.machine) {
    json["host_read_beside_bytes_per_s"] = limits.machine->cpu_read_beside_copy_bytes_per_s;
    json["host_to_card_beside_bytes_per_s"] = limits.machine->h2d_beside_read_bytes_per_s;
    json["vram_bytes_per_s"] = limits.machine->vram_bytes_per_s;
  }
  for (const Measurement& m : all) {
    nlohmann::ordered_json result = {
        {"test", m.test.label()},   {"kind", m.test.prefill ? "prefill" : "decode"},
        {"tokens", m.test.tokens},  {"depth", m.test.depth},
        {"batch", m.test.batch},    {"tokens_per_s", m.median()},
        {"samples", m.tokens_per_s}};
    if (!m.test.prefill) result["limit_share"] = m.limit_share;
    if (limits.machine) {
      result["planned_tokens_per_s"] = m.planned_tokens_per_s;
      result["planned_vram_bytes"] = m.planned_vram_bytes;
    }
    json["results"].push_back(std::move(result));
  }
  std::printf("%s\n", json.dump(2).c_str());
}

// A prompt of as many rows as a step has, and the token behind it, after one of each that is not
// recorded.
Result<std::vector<TimelineStep>> record_steps(Engine& engine) {
  Forward& forward = engine.forward();
  Random random(1);
  const int64_t rows = std::min(forward.limits().max_rows, engine.options().max_context - 4);
  std::vector<TimelineStep> steps;
  for (const bool recorded : {false, true}) {
    Request request;
    request.prompt = random_tokens(random, rows, engine.model().config.vocab_size);
    request.max_new_tokens = 4;
    const SequenceId id = TRY(engine.submit(std::move(request)));
    if (recorded) TRY(forward.start_recording());
    TRY(engine.step());
    if (recorded) steps.push_back(TRY(forward.take_recording()));
    TRY(engine.step());
    if (recorded) TRY(forward.start_recording());
    TRY(engine.step());
    if (recorded) steps.push_back(TRY(forward.take_recording()));
    engine.release(id);
  }
  steps[0].title = fmt::format("{}, a prompt of {} tokens", engine.model().config.model_name, rows);
  steps[1].title = fmt::format("{}, one token", engine.model().config.model_name);
  return steps;
}

Result<void> draw_timeline(Engine& engine, const std::string& path) {
  const std::vector<TimelineStep> steps = TRY(record_steps(engine));
  std::ofstream file(path, std::ios::binary);
  file << (path.ends_with(".svg") ? timeline_svg(steps) : timeline_trace(steps));
  file.close();
  if (!file) return fail("--timeline: {}: cannot write", path);
  return {};
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
  Limits limits;
  if (options.model.vram != "0" && gpu_count() > 0) {
    // Before the model takes the memory.
    MachineProfile machine = TRY(measured_machine(options.model.gpu))
    .profile;
    if (machine.has_card()) limits.machine = std::move(machine);
  }
  const Stopwatch opening;
  OpenedModel model = TRY(open_for_command(*pool, options.model, sequences, false));
  limits.open_seconds = opening.seconds();
  const Forward& forward = model.engine->forward();
  if (forward.vram_bytes() == 0) limits.machine.reset();
  if (limits.machine) {
    limits.inventory = take_inventory(model.engine->model().config, model.engine->model().layout);
  }
  limits.weights = forward.weight_bytes();
  if (limits.weights.disk > 0) {
    const std::filesystem::path given = options.model.spill;
    limits.disk_bytes_per_s =
        TRY(measure_disk_read(given.empty() ? default_spill_directory() : given, kDiskSampleBytes));
    if (limits.machine) limits.machine->disk_bytes_per_s = limits.disk_bytes_per_s;
  }
  limits.read_bytes_per_s = weight_read_bandwidth(*pool, *model.engine);
  std::vector<Measurement> all;
  ProgressBar bar("measuring");
  for (const Case& test : cases) {
    bar.update(all.size(), cases.size());
    all.push_back(TRY(measure(*model.engine, test, options.repetitions, limits)));
    limits.vram_peak_bytes = std::max(limits.vram_peak_bytes, forward.vram_bytes());
    limits.ram_peak_bytes = std::max(limits.ram_peak_bytes, private_memory_bytes());
  }
  bar.clear();
  if (!options.timeline.empty()) TRY(draw_timeline(*model.engine, options.timeline));
  (options.json ? print_json : print_table)(model, all, pool->thread_count(), limits);
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
  parser
      ->add_option("--timeline", options->timeline,
                   "Also record when card, bus and CPU are at work in a step of a prompt and of a\n"
                   "token: FILE.svg is a drawing, FILE.json for Perfetto or chrome://tracing")
      ->type_name("FILE")
      ->check([](const std::string& path) {
        const bool known = path.ends_with(".svg") || path.ends_with(".json");
        return known ? std::string() : "expected a name that ends in .svg or .json, found " + path;
      });
  parser->add_flag("--json", options->json, "Print JSON");
  return {parser, [options] { return bench(*options); }};
}

}  // namespace shoehorn
