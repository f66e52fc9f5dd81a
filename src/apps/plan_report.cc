#include "apps/plan_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/terminal.h"
#include "base/bytes.h"

namespace shoehorn {
namespace {

std::string milliseconds(double seconds) {
  return fmt::format("{:.3g} ms", seconds * 1e3);
}

std::string bytes_or_blank(uint64_t bytes) {
  return bytes > 0 ? format_bytes(bytes) : "";
}

// "12" or "12 to 13".
std::string range(const std::vector<LayerPlacement>& layers, int64_t LayerPlacement::*kind) {
  const auto [least, most] =
      std::minmax_element(layers.begin(), layers.end(),
                          [&](const auto& a, const auto& b) { return a.*kind < b.*kind; });
  if ((*least).*kind == (*most).*kind) return std::to_string((*least).*kind);
  return fmt::format("{} to {}", (*least).*kind, (*most).*kind);
}

std::string layers_text(const PlanReport& report) {
  const Placement& placement = report.placement;
  const LayerInventory& layer = report.model.layers.front();
  std::string text = fmt::format(
      "Each layer's feed-forward is {} units of {} neurons, {}: ", layer.units,
      report.model.config.intermediate_size / layer.units, format_bytes(layer.unit_bytes));
  if (!placement.uses_card) {
    text += "all computed by the CPU.\n";
    if (placement.disk.total() > 0) {
      const auto& layers = placement.layers;
      text += fmt::format(
          "The feed-forwards of {} of {} layers are read from disk in every step, and the "
          "attention "
          "of {}.\n",
          std::count_if(layers.begin(), layers.end(), [](const auto& l) { return l.disk > 0; }),
          layers.size(), std::count_if(layers.begin(), layers.end(), [](const auto& l) {
            return l.attention_on_disk;
          }));
    }
    return placement.why_no_card.empty() ? text : text + placement.why_no_card + "\n";
  }
  text += fmt::format("{} in VRAM, {} computed by the CPU, {} streamed.\n",
                      range(placement.layers, &LayerPlacement::vram),
                      range(placement.layers, &LayerPlacement::cpu),
                      range(placement.layers, &LayerPlacement::stream));
  if (placement.disk.total() > 0) {
    text += fmt::format("Of them {} are read from disk in every step.\n",
                        range(placement.layers, &LayerPlacement::disk));
  }
  if (const int64_t streamed = placement.attention(AttentionPlace::streamed); streamed > 0) {
    text += fmt::format("The attention of {} of {} layers is streamed too.\n", streamed,
                        placement.layers.size());
  }
  return text;
}

const char* describe(AttentionPlace place) {
  switch (place) {
    case AttentionPlace::vram:
      return "vram";
    case AttentionPlace::streamed:
      return "streamed";
    case AttentionPlace::host:
      return "ram";
  }
  return "?";
}

std::string step_text(const StepTimes& times) {
  std::string text = fmt::format("card {}, CPU {}, copies {}, launches and exchanges {}",
                                 milliseconds(times.card_s), milliseconds(times.cpu_s),
                                 milliseconds(times.copy_s), milliseconds(times.exchange_s));
  return times.disk_s > 0 ? text + ", disk " + milliseconds(times.disk_s) : text;
}

std::string speeds_text(const PlanReport& report) {
  const Placement& placement = report.placement;
  std::string text =
      fmt::format("decode       {:.3g} tokens/s: {} a step at {} tokens of context\n",
                  placement.decode_tokens_per_s, milliseconds(placement.decode.total_s),
                  std::min(report.goal.prompt_tokens, report.goal.context));
  text += fmt::format("             {}\n", step_text(placement.decode));
  text += fmt::format("             bound by {}\n", describe(placement.decode.bound));
  text += fmt::format("prefill      {:.3g} tokens/s in chunks of {}, bound by {}\n",
                      placement.prefill_tokens_per_s, report.goal.prefill_rows,
                      describe(placement.prefill.bound));
  text += fmt::format("first token  {:.3g} s after a prompt of {}\n", placement.first_token_s,
                      report.goal.prompt_tokens);
  text += fmt::format("loading      {:.3g} s from disk\n",
                      static_cast<double>(report.file_bytes + placement.disk.total()) /
                          report.machine.disk_bytes_per_s);
  return text;
}

nlohmann::ordered_json times_json(const StepTimes& times) {
  return {{"total_s", times.total_s},       {"card_s", times.card_s},
          {"cpu_s", times.cpu_s},           {"copy_s", times.copy_s},
          {"exchange_s", times.exchange_s}, {"disk_s", times.disk_s},
          {"bound", describe(times.bound)}};
}

nlohmann::ordered_json goal_json(const Goal& goal) {
  return {{"vram_budget_bytes", goal.vram_budget_bytes},
          {"ram_budget_bytes", goal.ram_budget_bytes},
          {"context", goal.context},
          {"batch", goal.batch},
          {"kv_type", name(goal.kv_dtype)},
          {"prompt_tokens", goal.prompt_tokens},
          {"rows_per_sequence", goal.rows_per_sequence},
          {"prefill_rows", goal.prefill_rows}};
}

}  // namespace

std::vector<PlanPart> parts_of(const Placement& placement) {
  const TierBytes& vram = placement.vram;
  const TierBytes& ram = placement.ram;
  const TierBytes& disk = placement.disk;
  const std::vector<PlanPart> all = {
      {"overhead", "program", "driver and program", vram.overhead, ram.overhead},
      {"workspace", "work", "workspace", vram.workspace, ram.workspace},
      {"ring", "ring", "ring for what is streamed", vram.ring, ram.ring},
      {"kv", "KV", "KV cache", vram.kv, ram.kv},
      {"embedding", "embedding", "embedding", vram.embedding, ram.embedding},
      {"head", "head", "head", vram.head, ram.head},
      {"attention", "attention", "attention and norms", vram.attention, ram.attention,
       disk.attention},
      {"attention_streamed", "streamed attention", "attention, streamed to the card", 0,
       ram.streamed_attention},
      {"feed_forward_card", "card's FFN", "feed-forward, computed by the card", vram.units, 0},
      {"feed_forward_cpu", "CPU's FFN", "feed-forward, computed by the CPU", 0, ram.units,
       disk.units},
      {"feed_forward_streamed", "streamed FFN", "feed-forward, streamed to the card", 0,
       ram.streamed, disk.streamed},
  };
  std::vector<PlanPart> parts;
  for (const PlanPart& part : all) {
    if (part.vram_bytes + part.ram_bytes + part.disk_bytes > 0) parts.push_back(part);
  }
  return parts;
}

std::string tiers_text(const PlanReport& report) {
  const Placement& placement = report.placement;
  const bool reads_disk = placement.disk.total() > 0;
  std::vector<std::string> columns = {"bytes", "VRAM", "RAM"};
  if (reads_disk) columns.push_back("disk");
  Table table(columns);
  const auto add = [&](const char* label, const std::string& vram, const std::string& ram,
                       const std::string& disk) {
    std::vector<std::string> row = {label, vram, ram};
    if (reads_disk) row.push_back(disk);
    table.add(row);
  };
  for (const PlanPart& part : parts_of(placement)) {
    add(part.label, bytes_or_blank(part.vram_bytes), bytes_or_blank(part.ram_bytes),
        bytes_or_blank(part.disk_bytes));
  }
  add("all", format_bytes(placement.vram.total()), format_bytes(placement.ram.total()),
      format_bytes(placement.disk.total()));
  add("budget", format_bytes(report.goal.vram_budget_bytes),
      format_bytes(report.goal.ram_budget_bytes), "");
  return table.text();
}

std::string plan_text(const PlanReport& report) {
  const Goal& goal = report.goal;
  const ModelInventory& model = report.model;
  std::string text = fmt::format(
      "{}, {} ({:.3g} bits a weight), on {}\n{}\ncontext {}, batch {}, KV cache in {}\n\n",
      model.config.model_name, model.weights, model.bits_per_weight, report.machine.name,
      report.machine.description, goal.context, goal.batch, name(goal.kv_dtype));
  text += tiers_text(report) + "\n" + layers_text(report) + "\n" + speeds_text(report);
  if (report.alternatives.empty()) return text;

  Table changes({"what would help", "decode, tokens/s", "first token, s"});
  for (const Alternative& change : report.alternatives) {
    changes.add({change.change, fmt::format("{:.3g}", change.decode_tokens_per_s),
                 fmt::format("{:.3g}", change.first_token_s)});
  }
  return text + "\n" + changes.text();
}

std::string plan_json(const PlanReport& report) {
  const Placement& placement = report.placement;
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const PlanPart& part : parts_of(placement)) {
    parts.push_back({{"kind", part.key},
                     {"vram_bytes", part.vram_bytes},
                     {"ram_bytes", part.ram_bytes},
                     {"disk_bytes", part.disk_bytes}});
  }
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerPlacement& layer : placement.layers) {
    layers.push_back({{"attention", describe(layer.attention)},
                      {"vram", layer.vram},
                      {"cpu", layer.cpu},
                      {"stream", layer.stream},
                      {"disk", layer.disk}});
  }
  nlohmann::ordered_json changes = nlohmann::ordered_json::array();
  for (const Alternative& change : report.alternatives) {
    changes.push_back({{"change", change.change},
                       {"decode_tokens_per_s", change.decode_tokens_per_s},
                       {"first_token_s", change.first_token_s}});
  }
  const nlohmann::ordered_json json = {
      {"model", report.model.config.model_name},
      {"weights", report.model.weights},
      {"bits_per_weight", report.model.bits_per_weight},
      {"parameters", report.model.parameters},
      {"weight_bytes", report.model.layer_bytes() + report.model.head_bytes},
      {"machine", nlohmann::ordered_json::parse(machine_json(report.machine))},
      {"goal", goal_json(report.goal)},
      {"vram_bytes", placement.vram.total()},
      {"ram_bytes", placement.ram.total()},
      {"disk_bytes", report.file_bytes},
      {"disk_bytes_per_step", placement.disk.total()},
      {"parts", parts},
      {"unit_bytes", report.model.layers.front().unit_bytes},
      {"layers", layers},
      {"decode", times_json(placement.decode)},
      {"decode_tokens_per_s", placement.decode_tokens_per_s},
      {"prefill", times_json(placement.prefill)},
      {"prefill_tokens_per_s", placement.prefill_tokens_per_s},
      {"first_token_s", placement.first_token_s},
      {"would_help", changes}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace shoehorn
