// Options that every command with a model takes, and the opening they lead to.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "engine/open_model.h"

namespace shoehorn {

struct ModelOptions {
  std::string path;
  int threads = 0;           // 0: one a physical core, within the cgroup's limit
  int64_t context = 0;       // 0: the model's own, at most 4096
  int64_t prefill_rows = 0;  // 0: the engine's choice
  std::string kv_type = "f16";
  std::string precision = "fast";
  std::string vram = "auto";
  std::string ram = "auto";
  std::string spill;  // the cache directory
  int gpu = 0;
  double stream_share = -1;  // found by trial
};

void add_model_options(CLI::App& parser, ModelOptions& options);

// A pool with the threads asked for.
std::unique_ptr<ThreadPool> make_pool(const ModelOptions& options);

// Opens with a progress bar. `sequences` full contexts fit into the KV cache.
Result<OpenedModel> open_for_command(ThreadPool& pool, const ModelOptions& options,
                                     int64_t sequences, bool need_tokenizer);

}  // namespace shoehorn
