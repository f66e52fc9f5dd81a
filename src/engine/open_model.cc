#include "engine/open_model.h"

#include "base/gpu.h"
#include "base/log.h"
#include "base/memory_use.h"
#include "engine/host_weights.h"
#include "engine/hybrid_forward.h"
#include "memory/spill_file.h"
#include "plan/hardware.h"

#include <algorithm>

namespace shoehorn {
namespace {

constexpr int64_t kDefaultContext = 4096;
constexpr int64_t kLeastLogitRows = WorkspaceLimits().max_logit_rows;
constexpr uint64_t kUnaskedReserve = 12;  // of the card: a twelfth is left to others
// Without a word, so much RAM is left to others: a sixteenth, and no less than this.
constexpr uint64_t kUnaskedRamReserve = uint64_t{256} << 20;
// What the program takes later than the plan is made: sequences, sampling, rounding to pages.
constexpr uint64_t kProgramMargin = uint64_t{32} << 20;

// Rows of the vocabulary that hold no token: padding of the embedding, holes, unused ids.
std::vector<int32_t> masked_ids(const Tokenizer& tokenizer, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocab_size; ++id) {
    if (tokenizer.is_unused(id)) ids.push_back(id);
  }
  return ids;
}

Result<std::vector<float>> rope_divisors(const Checkpoint& checkpoint) {
  if (checkpoint.naming() != TensorNaming::gguf || !checkpoint.find("rope_freqs.weight")) {
    return std::vector<float>();
  }
  return stored_vector(checkpoint, "rope_freqs.weight", checkpoint.config().head_dim / 2);
}

// Tokens of one sequence.
Result<int64_t> context_of(const Checkpoint& checkpoint, const OpenOptions& options) {
  const int64_t most = checkpoint.config().max_position_embeddings;
  if (options.context > most) {
    return fail("context: expected at most {} tokens, which {} was made for, found {}", most,
                checkpoint.name(), options.context);
  }
  return options.context > 0 ? options.context : std::min(most, kDefaultContext);
}

KvOptions kv_options(int64_t context, const OpenOptions& options) {
  KvOptions kv = {.dtype = options.kv_dtype};
  const int64_t page = kv.page_tokens;
  kv.capacity_tokens = (context + page - 1) / page * page * options.sequences;
  return kv;
}

uint64_t ram_budget(const OpenOptions& options) {
  if (options.ram_budget_bytes) return *options.ram_budget_bytes;
  const HostFacts host = read_host_facts();
  const uint64_t reserve = std::max(host.memory_bytes / 16, kUnaskedRamReserve);
  const uint64_t available = std::max(host.available_memory_bytes, reserve) - reserve;
  return private_memory_bytes() + available;
}

std::filesystem::path spill_directory(const OpenOptions& options) {
  return options.spill.empty() ? default_spill_directory() : options.spill;
}

Result<std::unique_ptr<Forward>> open_on_host(ThreadPool& pool, const Checkpoint& checkpoint,
                                              const Model& model, int64_t context,
                                              const OpenOptions& options) {
  HostForwardOptions host = {.kv = kv_options(context, options), .precision = options.precision};
  host.limits = {.max_context = context, .thread_count = pool.thread_count()};
  host.limits.max_rows = rows_within<ThreadPool>(
      model.config, host.limits,
      step_rows(model.config, context, options.sequences, 0, options.max_rows),
      options.workspace_budget_bytes);
  const uint64_t work = workspace_bytes<ThreadPool>(model.config, host.limits);
  const RamPlan plan = TRY(plan_ram(take_inventory(model.config, model.layout),
                                    {.ram_budget_bytes = ram_budget(options),
                                     .fixed_bytes = private_memory_bytes() + kProgramMargin + work,
                                     .kv_bytes = PagedKv::size_bytes(model.config, host.kv)}));
  auto weights = TRY(
      load_host(pool, checkpoint, model.layout, plan, spill_directory(options), options.progress));
  return make_host_forward(pool, model, std::move(weights), host);
}

// On a card unless there is none or the caller wants none. Without a word from the caller, a card
// that cannot hold what must be on it is no error.
Result<std::unique_ptr<Forward>> open_forward(ThreadPool& pool, const Checkpoint& checkpoint,
                                              const Model& model, int64_t context,
                                              const OpenOptions& options) {
  const bool asked = options.vram_budget_bytes.has_value();
  if (asked ? *options.vram_budget_bytes == 0 : gpu_count() == 0) {
    return open_on_host(pool, checkpoint, model, context, options);
  }
  const GpuFacts card = TRY(gpu_facts(options.gpu));
  CardRequest request = {.gpu = options.gpu, .progress = options.progress};
  HybridOptions& hybrid = request.hybrid;
  hybrid.kv = kv_options(context, options);
  hybrid.precision = options.precision;
  hybrid.stream_share = options.stream_share;
  hybrid.decode_rows = options.sequences;
  hybrid.limits = {.max_logit_rows = std::clamp(options.sequences, kLeastLogitRows, kFewRows),
                   .max_context = context,
                   .thread_count = pool.thread_count()};
  hybrid.ram_budget_bytes = ram_budget(options);
  hybrid.spill = spill_directory(options);
  hybrid.vram_budget_bytes =
      options.vram_budget_bytes.value_or(card.total_bytes - card.total_bytes / kUnaskedReserve);
  hybrid.limits.max_rows = step_rows(model.config, context, options.sequences,
                                     hybrid.vram_budget_bytes, options.max_rows);
  Result<std::unique_ptr<Forward>> forward = open_on_card(pool, model, checkpoint, request);
  if (forward.ok() || asked) return forward;
  log_warning("{}; computing on the CPU", forward.error().message);
  return open_on_host(pool, checkpoint, model, context, options);
}

}  // namespace

Result<OpenedModel> open_model(ThreadPool& pool, const std::filesystem::path& path,
                               const OpenOptions& options) {
  OpenedModel opened = {.checkpoint = TRY(Checkpoint::open(path)) };
  const Checkpoint& checkpoint = opened.checkpoint;
  const int64_t context = TRY(context_of(checkpoint, options));

  auto model = std::make_unique<Model>();
  model->config = checkpoint.config();
  model->layout = TRY(plan_layout(checkpoint));
  if (options.need_tokenizer) {
    opened.tokenizer = TRY(Tokenizer::create(TRY(checkpoint.tokenizer_data())));
    model->masked_ids = masked_ids(*opened.tokenizer, model->config.vocab_size);
    if (!checkpoint.chat_template().empty()) {
      opened.chat_template =
          TRY(ChatTemplate::parse(checkpoint.chat_template(), checkpoint.name()));
    }
  }
  model->rope = model_rope_table(model->config, TRY(rope_divisors(checkpoint)));
  auto forward = TRY(open_forward(pool, checkpoint, *model, context, options));
  opened.engine = std::make_unique<Engine>(std::move(model), std::move(forward),
                                           EngineOptions{.max_context = context});
  return opened;
}

std::vector<int32_t> stop_token_ids(const OpenedModel& model) {
  std::vector<int32_t> ids = model.checkpoint.generation_config().eos_token_ids;
  if (model.tokenizer && model.tokenizer->data().eos_token_id >= 0) {
    ids.push_back(model.tokenizer->data().eos_token_id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace shoehorn
