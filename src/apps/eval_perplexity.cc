// shoehorn eval perplexity: how surprised a model is by a text.

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/model_options.h"
#include "apps/terminal.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/perplexity.h"

namespace shoehorn {
namespace {

struct EvalOptions {
  ModelOptions model;
  std::string text_file;
  int64_t stride = 0;  // 0: the context
  bool json = false;
};

void print_result(const Perplexity& result, const EvalOptions& options, int64_t stride,
                  double seconds) {
  const double value = result.value();
  if (options.json) {
    const nlohmann::ordered_json json = {{"perplexity", value},
                                         {"mean_nll", result.mean_nll},
                                         {"standard_error", result.standard_error},
                                         {"scored_tokens", result.scored_tokens},
                                         {"context", options.model.context},
                                         {"stride", stride},
                                         {"seconds", seconds}};
    std::printf("%s\n", json.dump(2).c_str());
    return;
  }
  std::printf("perplexity %.4f ± %.4f  (%ld tokens scored, context %ld, stride %ld, %.1f s)\n",
              value, value * result.standard_error, static_cast<long>(result.scored_tokens),
              static_cast<long>(options.model.context), static_cast<long>(stride), seconds);
}

Result<void> evaluate(EvalOptions options) {
  const std::string text = TRY(read_text_file(options.text_file));
  if (options.model.context == 0) options.model.context = 512;
  const std::unique_ptr<ThreadPool> pool = make_pool(options.model);
  OpenedModel model = TRY(open_for_command(*pool, options.model, 1, true));
  const TokenizerData& data = model.tokenizer->data();
  const std::vector<int32_t> tokens = model.tokenizer->encode(text);

  PerplexityOptions perplexity_options;
  perplexity_options.context = options.model.context;
  if (data.add_bos_token) perplexity_options.bos_token_id = data.bos_token_id;
  const int64_t longest = options.model.context - (data.add_bos_token ? 1 : 0);
  perplexity_options.stride = options.stride > 0 ? options.stride : longest;
  ProgressBar bar("scoring");
  perplexity_options.progress = [&](int64_t done, int64_t total) { bar.update(done, total); };
  const Stopwatch clock;
  const Perplexity result = TRY(perplexity(*model.engine, tokens, perplexity_options));
  bar.clear();
  print_result(result, options, perplexity_options.stride, clock.seconds());
  return {};
}

}  // namespace

Command add_eval_perplexity_command(CLI::App& app) {
  CLI::App* parser = app.add_subcommand(
      "perplexity",
      "Perplexity of a text file\n\n"
      "The text is cut into windows of --context tokens that begin --stride tokens apart;\n"
      "each token is scored once. A smaller stride gives every token more context.");
  auto options = std::make_shared<EvalOptions>();
  add_model_options(*parser, options->model);
  parser->add_option("text", options->text_file, "A UTF-8 text file")
      ->required()
      ->type_name("FILE");
  parser
      ->add_option("--stride", options->stride,
                   "Tokens from window to window (default: the context)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  parser->add_flag("--json", options->json, "Print JSON");
  return {parser, [options] { return evaluate(*options); }};
}

}  // namespace shoehorn
