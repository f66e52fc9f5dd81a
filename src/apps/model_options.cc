#include "apps/model_options.h"

#include "apps/terminal.h"
#include "base/bytes.h"
#include "base/cpu.h"

namespace shoehorn {

void add_model_options(CLI::App& parser, ModelOptions& options) {
  parser.add_option("model", options.path, "A .gguf file, or a Hugging Face model directory")
      ->required()
      ->type_name("MODEL");
  parser
      .add_option("-t,--threads", options.threads,
                  "Threads that compute (default: one for each physical core)")
      ->check(CLI::Range(1, 1024));
  parser
      .add_option("-c,--context", options.context,
                  "Tokens of context to make room for (default: the model's own, at most 4096)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  parser
      .add_option("--prefill-rows", options.prefill_rows,
                  "Prompt tokens computed in one step (default: up to 2048 on a card, else 512)")
      ->check(CLI::Range(1, 8192));
  parser.add_option("--kv-type", options.kv_type, "Element type of the KV cache")
      ->check(CLI::IsMember({"f16", "bf16", "f32"}))
      ->capture_default_str();
  parser
      .add_option("--precision", options.precision,
                  "fast: activations rounded to 8 bits; full: never rounded, far slower")
      ->check(CLI::IsMember({"fast", "full"}))
      ->capture_default_str();
  parser
      .add_option("--vram", options.vram,
                  "VRAM to use on the card, such as 16GiB; 0: the CPU alone;\n"
                  "auto: most of the card's, where there is one")
      ->type_name("SIZE")
      ->capture_default_str();
  parser
      .add_option("--ram", options.ram,
                  "RAM to use, such as 8GiB: weights beyond it are read from disk in every step;\n"
                  "auto: most of what is available")
      ->type_name("SIZE")
      ->capture_default_str();
  parser
      .add_option("--spill", options.spill,
                  "Directory for weights that RAM does not hold, on a fast disk; nothing is left\n"
                  "there (default: ~/.cache/shoehorn/spill)")
      ->type_name("DIR");
  parser.add_option("--gpu", options.gpu, "Number of the card")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  parser
      .add_option(
          "--stream-share", options.stream_share,
          "Share of the weights outside VRAM that is streamed to the card in each step; the CPU\n"
          "computes the others (default: the fastest, by trial)")
      ->check(CLI::Range(0.0, 1.0));
}

namespace {

// "auto" is none.
Result<std::optional<uint64_t>> budget(const char* option, const std::string& text) {
  if (text == "auto") return std::optional<uint64_t>();
  const Result<uint64_t> bytes = parse_bytes(text);
  if (!bytes) return fail("{}: expected auto or a size; {}", option, bytes.error().message);
  return std::optional(*bytes);
}

}  // namespace

std::unique_ptr<ThreadPool> make_pool(const ModelOptions& options) {
  const CpuTopology topology = read_cpu_topology();
  const int threads = options.threads > 0 ? options.threads : default_thread_count(topology);
  // Pinning helps only while every thread has a processor of its own.
  const bool pin = threads <= static_cast<int>(topology.usable_processors.size());
  return std::make_unique<ThreadPool>(
      threads, pin ? std::span<const int>(topology.usable_processors) : std::span<const int>());
}

Result<OpenedModel> open_for_command(ThreadPool& pool, const ModelOptions& options,
                                     int64_t sequences, bool need_tokenizer) {
  OpenOptions open;
  open.context = options.context;
  open.sequences = sequences;
  open.need_tokenizer = need_tokenizer;
  open.max_rows = options.prefill_rows;
  open.precision = options.precision == "full" ? Precision::full : Precision::fast;
  open.kv_dtype = options.kv_type == "f32"    ? DType::f32
                  : options.kv_type == "bf16" ? DType::bf16
                                              : DType::f16;
  open.vram_budget_bytes = TRY(budget("--vram", options.vram));
  open.ram_budget_bytes = TRY(budget("--ram", options.ram));
  open.spill = options.spill;
  open.gpu = options.gpu;
  if (options.stream_share >= 0) open.stream_share = options.stream_share;
  ProgressBar bar("loading");
  open.progress = [&](uint64_t done, uint64_t total) { bar.update(done, total); };
  return open_model(pool, options.path, open);
}

}  // namespace shoehorn
