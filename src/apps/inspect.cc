// shoehorn inspect: what a model is and what its bytes are spent on, from the headers alone.

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/terminal.h"
#include "base/bytes.h"
#include "engine/paged_kv.h"
#include "models/cost.h"
#include "models/layout.h"

namespace shoehorn {
namespace {

struct InspectOptions {
  std::string path;
  bool json = false;
};

// A kind of tensor in one format: its part of the model.
struct Share {
  int64_t tensors = 0;
  int64_t parameters = 0;
  uint64_t file_bytes = 0;
  uint64_t memory_bytes = 0;
};

struct Kind {
  std::string kind;
  std::string stored;  // the file's type
  std::string format;  // the internal one
  auto operator<=>(const Kind&) const = default;
};

const char* kind_name(TensorRole role) {
  switch (role) {
    case TensorRole::embedding:
      return "embedding";
    case TensorRole::query:
    case TensorRole::key:
    case TensorRole::value:
    case TensorRole::attention_output:
      return "attention";
    case TensorRole::gate:
    case TensorRole::up:
    case TensorRole::down:
      return "feed-forward";
    case TensorRole::head:
      return "head";
    default:
      return "norms and biases";
  }
}

std::map<Kind, Share> shares(const Checkpoint& checkpoint, const ModelLayout& layout) {
  std::map<Kind, Share> found;
  for (const BlockLayout& block : layout.blocks) {
    for (const WeightSlot& slot : block.slots) {
      const StoredTensor* stored =
          checkpoint.find(tensor_name(checkpoint.naming(), slot.role, block.layer));
      if (stored == nullptr) continue;
      Share& share = found[{kind_name(slot.role), name(stored->type), name(slot.format)}];
      share.tensors += 1;
      share.parameters += slot.rows * slot.columns;
      share.file_bytes += stored->bytes.size();
      share.memory_bytes += static_cast<uint64_t>(size_bytes(slot.format, slot.rows, slot.columns));
    }
  }
  return found;
}

std::string rope_text(const ModelConfig& config) {
  static constexpr const char* kNames[] = {"none", "linear", "llama3", "yarn"};
  const RopeScaling& scaling = config.rope_scaling;
  std::string text = fmt::format("theta {:g}", config.rope_theta);
  if (scaling.type != RopeScalingType::none) {
    text += fmt::format(", {} x{:g}", kNames[static_cast<int>(scaling.type)], scaling.factor);
  }
  return text;
}

void print_text(const Checkpoint& checkpoint, const ModelLayout& layout) {
  const ModelConfig& config = checkpoint.config();
  std::printf("%s\n", config.model_name.c_str());
  std::printf("  architecture  %s, %ld layers, hidden %ld, feed-forward %ld\n",
              name(config.architecture), static_cast<long>(config.num_hidden_layers),
              static_cast<long>(config.hidden_size), static_cast<long>(config.intermediate_size));
  std::printf("  attention     %ld query heads, %ld key heads of %ld\n",
              static_cast<long>(config.num_attention_heads),
              static_cast<long>(config.num_key_value_heads), static_cast<long>(config.head_dim));
  std::printf("  positions     %ld, %s\n", static_cast<long>(config.max_position_embeddings),
              rope_text(config).c_str());
  std::printf("  vocabulary    %ld%s\n", static_cast<long>(config.vocab_size),
              config.tie_word_embeddings ? ", embedding shared with the head" : "");
  std::printf("  parameters    %.4g billion\n",
              static_cast<double>(parameter_count(layout)) * 1e-9);
  std::printf(
      "  KV cache      %s a token in 16 bits\n\n",
      format_bytes(static_cast<uint64_t>(PagedKv::token_bytes(config, DType::f16))).c_str());

  Table table({"tensors", "file type", "in memory as", "count", "parameters", "file", "memory"});
  Share total;
  for (const auto& [kind, share] : shares(checkpoint, layout)) {
    table.add({kind.kind, kind.stored, kind.format, std::to_string(share.tensors),
               fmt::format("{:.4g} M", static_cast<double>(share.parameters) * 1e-6),
               format_bytes(share.file_bytes), format_bytes(share.memory_bytes)});
    total.tensors += share.tensors;
    total.parameters += share.parameters;
    total.file_bytes += share.file_bytes;
    total.memory_bytes += share.memory_bytes;
  }
  table.add({"all", "", "", std::to_string(total.tensors),
             fmt::format("{:.4g} M", static_cast<double>(total.parameters) * 1e-6),
             format_bytes(total.file_bytes), format_bytes(total.memory_bytes)});
  std::fputs(table.text().c_str(), stdout);
}

void print_json(const Checkpoint& checkpoint, const ModelLayout& layout) {
  const ModelConfig& config = checkpoint.config();
  nlohmann::ordered_json json = {{"model", checkpoint.name()},
                                 {"name", config.model_name},
                                 {"architecture", name(config.architecture)},
                                 {"num_hidden_layers", config.num_hidden_layers},
                                 {"hidden_size", config.hidden_size},
                                 {"intermediate_size", config.intermediate_size},
                                 {"num_attention_heads", config.num_attention_heads},
                                 {"num_key_value_heads", config.num_key_value_heads},
                                 {"head_dim", config.head_dim},
                                 {"vocab_size", config.vocab_size},
                                 {"max_position_embeddings", config.max_position_embeddings},
                                 {"rope_theta", config.rope_theta},
                                 {"tie_word_embeddings", config.tie_word_embeddings},
                                 {"parameters", parameter_count(layout)},
                                 {"kv_bytes_per_token", PagedKv::token_bytes(config, DType::f16)},
                                 {"memory_bytes", layout.size_bytes()},
                                 {"tensors", nlohmann::ordered_json::array()}};
  for (const auto& [kind, share] : shares(checkpoint, layout)) {
    json["tensors"].push_back({{"kind", kind.kind},
                               {"stored_type", kind.stored},
                               {"format", kind.format},
                               {"count", share.tensors},
                               {"parameters", share.parameters},
                               {"file_bytes", share.file_bytes},
                               {"memory_bytes", share.memory_bytes}});
  }
  std::printf("%s\n", json.dump(2).c_str());
}

Result<void> inspect(const InspectOptions& options) {
  const Checkpoint checkpoint = TRY(Checkpoint::open(options.path));
  const ModelLayout layout = TRY(plan_layout(checkpoint));
  options.json ? print_json(checkpoint, layout) : print_text(checkpoint, layout);
  return {};
}

}  // namespace

Command add_inspect_command(CLI::App& app) {
  CLI::App* parser =
      app.add_subcommand("inspect", "Show what a model is made of, reading headers only");
  auto options = std::make_shared<InspectOptions>();
  parser->add_option("model", options->path, "A .gguf file, or a Hugging Face model directory")
      ->required()
      ->type_name("MODEL");
  parser->add_flag("--json", options->json, "Print JSON");
  return {parser, [options] { return inspect(*options); }};
}

}  // namespace shoehorn
