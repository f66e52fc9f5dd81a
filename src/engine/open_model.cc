#include "engine/open_model.h"

#include <algorithm>

namespace shoehorn {
namespace {

constexpr int64_t kDefaultContext = 4096;

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

Result<EngineOptions> engine_options(const Checkpoint& checkpoint, const OpenOptions& options) {
  const int64_t most = checkpoint.config().max_position_embeddings;
  if (options.context > most) {
    return fail("context: expected at most {} tokens, which {} was made for, found {}", most,
                checkpoint.name(), options.context);
  }
  EngineOptions engine = options.engine;
  engine.max_context = options.context > 0 ? options.context : std::min(most, kDefaultContext);
  engine.max_rows = std::min(engine.max_rows, engine.max_context * options.sequences);
  const int64_t page = engine.kv.page_tokens;
  engine.kv.capacity_tokens = (engine.max_context + page - 1) / page * page * options.sequences;
  return engine;
}

}  // namespace

Result<OpenedModel> open_model(ThreadPool& pool, const std::filesystem::path& path,
                               const OpenOptions& options) {
  OpenedModel opened = {.checkpoint = TRY(Checkpoint::open(path)) };
  const Checkpoint& checkpoint = opened.checkpoint;
  const EngineOptions engine = TRY(engine_options(checkpoint, options));

  Model model = {.config = checkpoint.config(), .layout = TRY(plan_layout(checkpoint)) };
  if (options.need_tokenizer) {
    opened.tokenizer = TRY(Tokenizer::create(TRY(checkpoint.tokenizer_data())));
    model.masked_ids = masked_ids(*opened.tokenizer, model.config.vocab_size);
    if (!checkpoint.chat_template().empty()) {
      opened.chat_template =
          TRY(ChatTemplate::parse(checkpoint.chat_template(), checkpoint.name()));
    }
  }
  model.rope = model_rope_table(model.config, TRY(rope_divisors(checkpoint)));
  model.weights = TRY(load_resident(pool, checkpoint, model.layout, options.progress));
  opened.engine = TRY(Engine::create(pool, std::move(model), engine));
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
