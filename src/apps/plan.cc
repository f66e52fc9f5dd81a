// shoehorn plan: what will go where and how fast it will be, before anything is downloaded, loaded
// or bought.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "apps/command.h"
#include "apps/measured_machine.h"
#include "apps/plan_report.h"
#include "apps/terminal.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/gpu.h"
#include "models/known_models.h"

namespace shoehorn {
namespace {

struct PlanOptions {
  std::string model;
  std::string machine;
  bool list_machines = false;
  int bits = 0;  // 0: as the files have it
  int group = 64;
  std::string vram, ram;
  int64_t context = 0;
  int64_t batch = 1;
  int64_t prompt = 512;
  int64_t rows = 1;
  int64_t prefill_rows = 0;  // 0: as the engine would choose
  std::string kv_type = "f16";
  bool json = false;
  std::string svg;
};

struct Subject {
  ModelInventory model;
  uint64_t file_bytes = 0;
};

Result<Subject> at_bits(const ModelConfig& config, const PlanOptions& options) {
  const Format format = TRY(format_of_bits(options.bits, options.group));
  Subject subject = {.model = TRY(inventory_at(config, format)) };
  const ModelInventory& model = subject.model;
  const bool tied = config.tie_word_embeddings;
  subject.file_bytes = model.layer_bytes() + model.head_bytes + (tied ? 0 : model.embedding_bytes);
  return subject;
}

Result<Subject> from_config(ModelConfig config, const std::string& source,
                            const PlanOptions& options) {
  if (config.model_name.empty()) config.model_name = source;
  if (options.bits == 0) {
    return fail("{}: no weights there: expected --bits, which says how many bits they would have",
                source);
  }
  return at_bits(config, options);
}

Result<Subject> from_files(const PlanOptions& options) {
  const Checkpoint checkpoint = TRY(Checkpoint::open(options.model));
  if (options.bits != 0) return at_bits(checkpoint.config(), options);
  const ModelLayout layout = TRY(plan_layout(checkpoint));
  Subject subject = {.model = take_inventory(checkpoint.config(), layout)};
  for (const StoredTensor& tensor : checkpoint.tensors()) subject.file_bytes += tensor.bytes.size();
  return subject;
}

bool holds_weights(const std::filesystem::path& folder) {
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".safetensors" || extension == ".gguf") return true;
  }
  return false;
}

// A name that is known, a config.json without weights, or a model's files.
Result<Subject> find_subject(const PlanOptions& options) {
  const std::filesystem::path path = options.model;
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) {
    const Result<KnownModel> known = known_model(options.model);
    if (known.ok()) return from_config(known->config, options.model, options);
    return fail("{}, or a path, which does not exist", known.error().message);
  }
  const bool folder = std::filesystem::is_directory(path, unknown);
  const std::filesystem::path beside = path.has_parent_path() ? path.parent_path() : ".";
  if ((folder || path.extension() == ".json") && !holds_weights(folder ? path : beside)) {
    const std::filesystem::path config = folder ? path / "config.json" : path;
    const std::string text = TRY(read_text_file(config, 1 << 20));
    return from_config(TRY(parse_model_config(text, config.string())), config.string(), options);
  }
  return from_files(options);
}

Result<MachineProfile> profile_of_this_machine() {
  if (gpu_count() == 0) {
    return fail(
        "--machine: expected a name (shoehorn plan --list-machines) or a profile, as there is no "
        "card here to measure: {}",
        why_no_gpu());
  }
  ThisMachine machine = TRY(measured_machine(0));
  if (!machine.profile.has_card()) return fail("--machine: {}", machine.why_no_card);
  return std::move(machine.profile);
}

Result<uint64_t> budget(const std::string& text, const char* option, uint64_t otherwise) {
  if (text.empty()) return otherwise;
  const Result<uint64_t> bytes = parse_bytes(text);
  if (!bytes.ok()) return fail("{}: {}", option, bytes.error().message);
  return *bytes;
}

Result<Goal> goal_of(const PlanOptions& options, const ModelInventory& model,
                     const MachineProfile& machine) {
  const int64_t most = model.config.max_position_embeddings;
  Goal goal;
  goal.context = options.context > 0 ? options.context : std::min<int64_t>(most, 4096);
  if (goal.context > most) {
    return fail("--context: expected at most {} tokens, which {} was made for, found {}", most,
                model.config.model_name, goal.context);
  }
  // Without a word, some of both is left to others.
  goal.vram_budget_bytes =
      TRY(budget(options.vram, "--vram", machine.vram_bytes - machine.vram_bytes / 12));
  goal.ram_budget_bytes =
      TRY(budget(options.ram, "--ram", machine.ram_bytes - machine.ram_bytes / 8));
  if (goal.vram_budget_bytes > 0 && !machine.has_card()) {
    return fail("--vram: expected 0, as {} has no card, found {}", machine.name, options.vram);
  }
  goal.batch = options.batch;
  goal.rows_per_sequence = options.rows;
  goal.prompt_tokens = std::min(options.prompt, goal.context);
  goal.prefill_rows = step_rows(model.config, goal.context, goal.batch, goal.vram_budget_bytes,
                                options.prefill_rows);
  goal.kv_dtype = options.kv_type == "f32"    ? DType::f32
                  : options.kv_type == "bf16" ? DType::bf16
                                              : DType::f16;
  return goal;
}

std::string machines_text() {
  Table table({"name", "VRAM", "RAM", "VRAM, GB/s", "CPU, GB/s", "PCIe, GB/s", "description"});
  for (const MachineProfile& machine : known_machines()) {
    const auto rate = [](double bytes_per_s) { return fmt::format("{:.4g}", bytes_per_s * 1e-9); };
    table.add({machine.name, format_bytes(machine.vram_bytes), format_bytes(machine.ram_bytes),
               rate(machine.vram_bytes_per_s), rate(machine.cpu_read_bytes_per_s),
               rate(machine.h2d.back().bytes_per_s), machine.description});
  }
  return table.text();
}

std::string machines_json() {
  std::string text = "[";
  for (const MachineProfile& machine : known_machines()) {
    text += (text.size() > 1 ? ",\n" : "\n") + machine_json(machine);
  }
  return text + "\n]\n";
}

Result<void> write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return fail("{}: cannot write", path);
  return {};
}

Result<void> plan(const PlanOptions& options) {
  if (options.list_machines) {
    std::fputs((options.json ? machines_json() : machines_text()).c_str(), stdout);
    return {};
  }
  const Subject subject = TRY(find_subject(options));
  PlanReport report = {
    .model = subject.model,
    .machine =
        TRY(options.machine.empty() ? profile_of_this_machine() : find_machine(options.machine)),
    .goal = {},
    .placement = {},
    .alternatives = {},
    .file_bytes = subject.file_bytes
  };
  report.goal = TRY(goal_of(options, report.model, report.machine));
  report.placement = TRY(plan_placement(report.model, report.machine, report.goal));
  report.alternatives = alternatives(report.model, report.machine, report.goal, report.placement);
  if (!options.svg.empty()) TRY(write_text(options.svg, plan_svg(report)));
  std::fputs((options.json ? plan_json(report) : plan_text(report)).c_str(), stdout);
  return {};
}

void add_goal_options(CLI::App& parser, PlanOptions& options) {
  parser.add_option("--vram", options.vram,
                    "VRAM to use, 16GiB; 0: none (default: eleven twelfths of the card's)");
  parser.add_option("--ram", options.ram, "RAM to use (default: seven eighths of the machine's)");
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 24);
  parser
      .add_option("-c,--context", options.context,
                  "Tokens of context to make room for (default: the model's own, at most 4096)")
      ->check(count);
  parser.add_option("--batch", options.batch, "Sequences at a time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  parser.add_option("--rows", options.rows, "Tokens of a sequence verified in one decode step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  parser.add_option("--prompt", options.prompt, "Length of the prompt that is timed")
      ->check(count)
      ->capture_default_str();
  parser
      .add_option("--prefill-rows", options.prefill_rows,
                  "Prompt tokens computed in one step (default: up to 2048 on a card, else 512)")
      ->check(CLI::Range(1, 8192));
  parser.add_option("--kv-type", options.kv_type, "Element type of the KV cache")
      ->check(CLI::IsMember({"f16", "bf16", "f32"}))
      ->capture_default_str();
}

}  // namespace

Command add_plan_command(CLI::App& app) {
  CLI::App* parser = app.add_subcommand(
      "plan",
      "Show what goes where on a machine, and how fast it will be\n\n"
      "MODEL is a model's files, of which only headers are read; a config.json, or a model known\n"
      "by name (deepseek-llm-67b), with --bits. Nothing is loaded, and no card is needed.");
  auto options = std::make_shared<PlanOptions>();
  CLI::Option* model =
      parser->add_option("model", options->model, "Files, a config.json, or a known name")
          ->type_name("MODEL");
  parser->add_option("--machine", options->machine,
                     "A known machine's name, or a profile in JSON\n"
                     "(default: this machine, measured once: see doctor)");
  CLI::Option* list = parser->add_flag("--list-machines", options->list_machines,
                                       "List the known machines and end");
  parser->add_option("--bits", options->bits, "Plan for weights of so many bits")
      ->check(CLI::IsMember({2, 3, 4, 5, 6, 8, 16, 32}));
  parser->add_option("--group", options->group, "Columns that share a scale, with --bits")
      ->check(CLI::IsMember({32, 64, 128, 256}))
      ->capture_default_str();
  add_goal_options(*parser, *options);
  parser->add_flag("--json", options->json, "Print JSON");
  parser->add_option("--svg", options->svg, "Also draw a map of memory into this file")
      ->type_name("FILE");
  parser->final_callback([model, list] {
    if (model->count() == 0 && list->count() == 0) throw CLI::RequiredError("MODEL");
  });
  return {parser, [options] { return plan(*options); }};
}

}  // namespace shoehorn
