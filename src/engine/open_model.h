// From a path to an engine that is ready to step: open, check, plan, load.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/thread_pool.h"
#include "engine/token_path.h"
#include "formats/chat_template.h"
#include "formats/checkpoint.h"
#include "formats/tokenizer.h"
#include "models/load.h"

namespace shoehorn {

struct OpenedModel {
  Checkpoint checkpoint;
  std::optional<Tokenizer> tokenizer;  // none where the files have none: ids only
  std::optional<ChatTemplate> chat_template;
  std::unique_ptr<Engine> engine;
};

struct OpenOptions {
  int64_t context = 0;  // tokens of one sequence; 0: the model's own, at most 4096
  // Tokens of one step (a prompt is read in chunks of so many); 0: 512 on the CPU, on a card what
  // is worth its memory.
  int64_t max_rows = 0;
  uint64_t workspace_budget_bytes = uint64_t{64} << 20;  // lowers max_rows on wide models
  DType kv_dtype = DType::f16;
  // VRAM that the process may hold on the card; 0: the CPU alone. none: most of the card's, where
  // there is a card that holds what must be on it; else the CPU alone.
  std::optional<uint64_t> vram_budget_bytes;
  // RAM that the process may hold, pages of mapped files apart; weights beyond it are read from
  // disk in every step. none: what is available, but for a margin.
  std::optional<uint64_t> ram_budget_bytes;
  std::filesystem::path spill;         // where those weights are kept; empty: the cache directory
  int gpu = 0;                         // the card's number
  std::optional<double> stream_share;  // see HybridOptions
  Precision precision = Precision::fast;
  int64_t sequences = 1;  // that must fit into the KV cache at full context
  bool need_tokenizer = true;
  LoadProgress progress;
};

// Errors: everything that opening, checking and loading the files can find wrong.
Result<OpenedModel> open_model(ThreadPool& pool, const std::filesystem::path& path,
                               const OpenOptions& options);

// The token ids that end an answer: the files' eos ids and the tokenizer's.
std::vector<int32_t> stop_token_ids(const OpenedModel& model);

}  // namespace shoehorn
