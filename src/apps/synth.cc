// shoehorn synth: a file of a known model's true shape with random weights, for measuring speed and
// memory without the real one.

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/model_options.h"
#include "apps/terminal.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "models/synthetic.h"

namespace shoehorn {
namespace {

struct SynthOptions {
  std::string name;
  std::string path;
  std::string type;
  int bits = 4;
  int64_t layers = 0;
  uint64_t seed = 1;
  int threads = 0;
  bool json = false;
};

constexpr StoredType kTypes[] = {
    StoredType::q2_k,   StoredType::q3_k,   StoredType::q4_0, StoredType::q4_1, StoredType::q4_k,
    StoredType::q5_0,   StoredType::q5_1,   StoredType::q5_k, StoredType::q6_k, StoredType::q8_0,
    StoredType::iq4_nl, StoredType::iq4_xs, StoredType::f16,  StoredType::bf16, StoredType::f32};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> type_names() {
  std::vector<std::string> names;
  for (const StoredType type : kTypes) names.push_back(lower(name(type)));
  return names;
}

StoredType type_of_bits(int bits) {
  switch (bits) {
    case 2:
      return StoredType::q2_k;
    case 3:
      return StoredType::q3_k;
    case 5:
      return StoredType::q5_k;
    case 6:
      return StoredType::q6_k;
    case 8:
      return StoredType::q8_0;
    case 16:
      return StoredType::bf16;
    case 32:
      return StoredType::f32;
    default:
      return StoredType::q4_k;
  }
}

StoredType type_of(const SynthOptions& options) {
  if (options.type.empty()) return type_of_bits(options.bits);
  const std::vector<std::string> names = type_names();
  const auto found = std::find(names.begin(), names.end(), lower(options.type));
  return kTypes[found - names.begin()];  // the parser lets no other name through
}

Result<void> synth(const SynthOptions& options) {
  const KnownModel model = TRY(known_model(options.name));
  ModelOptions threads;
  threads.threads = options.threads;
  const std::unique_ptr<ThreadPool> pool = make_pool(threads);
  SyntheticOptions synthetic = {
      .type = type_of(options), .layers = options.layers, .seed = options.seed};
  const uint64_t bytes = synthetic_bytes(model, synthetic);
  ProgressBar bar("writing");
  synthetic.progress = [&](uint64_t done, uint64_t total) { bar.update(done, total); };
  const Stopwatch clock;
  TRY(write_synthetic(*pool, model, synthetic, options.path));
  const double seconds = clock.seconds();
  bar.clear();
  if (options.json) {
    const nlohmann::ordered_json json = {{"path", options.path},
                                         {"model", model.name},
                                         {"type", name(synthetic.type)},
                                         {"bytes", bytes},
                                         {"seconds", seconds}};
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    std::printf("%s: random weights in the shape of %s, %s, %s in %.1f s (%.2f GB/s)\n",
                options.path.c_str(), model.name.c_str(), name(synthetic.type),
                format_bytes(bytes).c_str(), seconds, static_cast<double>(bytes) / seconds * 1e-9);
  }
  return {};
}

}  // namespace

Command add_synth_command(CLI::App& app) {
  CLI::App* parser = app.add_subcommand(
      "synth",
      "Write a GGUF file of a known model's shape with random weights\n\n"
      "What it says is noise; its speed and its memory are those of the real model.");
  auto options = std::make_shared<SynthOptions>();
  parser->add_option("name", options->name, "A model that Shoehorn knows by name")
      ->required()
      ->check(CLI::IsMember(known_model_names()))
      ->type_name("NAME");
  parser->add_option("-o,--output", options->path, "The file to write")
      ->required()
      ->type_name("FILE");
  CLI::Option* bits = parser->add_option("--bits", options->bits, "Bits of a weight's code")
                          ->check(CLI::IsMember({2, 3, 4, 5, 6, 8, 16, 32}))
                          ->capture_default_str();
  parser->add_option("--type", options->type, "GGUF's type of the matrices, in place of --bits")
      ->check(CLI::IsMember(type_names(), CLI::ignore_case))
      ->excludes(bits);
  parser->add_option("--layers", options->layers, "Write the first layers only (default: all)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16));
  parser->add_option("--seed", options->seed, "Of the random weights")->capture_default_str();
  parser
      ->add_option("-t,--threads", options->threads,
                   "Threads that write (default: one for each physical core)")
      ->check(CLI::Range(1, 1024));
  parser->add_flag("--json", options->json, "Print JSON");
  return {parser, [options] { return synth(*options); }};
}

}  // namespace shoehorn
