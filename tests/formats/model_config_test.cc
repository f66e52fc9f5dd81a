#include "formats/model_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/formats/test_files.h"

namespace shoehorn {
namespace {

using nlohmann::json;

json llama() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 4096},
          {"intermediate_size", 11008},
          {"num_hidden_layers", 30},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-6},
          {"hidden_act", "silu"},
          {"vocab_size", 102400}};
}

json with(json config, const std::string& key, const json& value) {
  config[key] = value;
  return config;
}
json without(json config, const std::string& key) {
  config.erase(key);
  return config;
}

Result<ModelConfig> parse(const json& config) {
  return parse_model_config(config.dump(), "config.json");
}
ModelConfig parsed(const json& config) {
  Result<ModelConfig> result = parse(config);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : ModelConfig();
}

TEST(ModelConfig, LlamaAsWritten) {
  json written = llama();
  written.update({{"_name_or_path", "some/model"},
                  {"rope_theta", 500000.0},
                  {"tie_word_embeddings", true},
                  {"attention_bias", true},
                  {"pretraining_tp", 2},
                  {"attention_dropout", 0.1},
                  {"torch_dtype", "bfloat16"}});
  const ModelConfig config = parsed(written);
  EXPECT_EQ(config.architecture, Architecture::llama);
  EXPECT_EQ(config.model_name, "some/model");
  EXPECT_EQ(config.num_hidden_layers, 30);
  EXPECT_EQ(config.hidden_size, 4096);
  EXPECT_EQ(config.intermediate_size, 11008);
  EXPECT_EQ(config.num_attention_heads, 32);
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.vocab_size, 102400);
  EXPECT_EQ(config.max_position_embeddings, 4096);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 500000);
  EXPECT_EQ(config.rope_layout, RopeLayout::half);
  EXPECT_EQ(config.rope_scaling.type, RopeScalingType::none);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_TRUE(config.output_bias);
  EXPECT_FALSE(config.f8_tile_scales);
}

TEST(ModelConfig, DefaultsAreTheReferences) {
  json minimal = llama();
  for (const char* key : {"architectures", "num_key_value_heads", "max_position_embeddings",
                          "rms_norm_eps", "hidden_act"}) {
    minimal.erase(key);
  }
  const ModelConfig config = parsed(minimal);
  EXPECT_EQ(config.num_key_value_heads, 32);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_FALSE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias);
  // null counts as absent.
  json nulls = llama();
  for (const char* key : {"rope_scaling", "head_dim", "num_key_value_heads", "rope_parameters",
                          "quantization_config", "sliding_window", "layer_types"}) {
    nulls[key] = nullptr;
  }
  EXPECT_EQ(parsed(nulls).num_key_value_heads, 32);
  EXPECT_EQ(parsed(nulls).head_dim, 128);
}

TEST(ModelConfig, Qwen2AlwaysHasBiasesOnQkv) {
  json written = llama();
  written.update({{"architectures", {"Qwen2ForCausalLM"}},
                  {"model_type", "qwen2"},
                  {"use_sliding_window", false},
                  {"sliding_window", 131072},
                  {"max_window_layers", 28},
                  {"layer_types", {"full_attention", "full_attention"}}});
  written.erase("max_position_embeddings");
  const ModelConfig config = parsed(written);
  EXPECT_EQ(config.architecture, Architecture::qwen2);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias);
  EXPECT_EQ(config.max_position_embeddings, 32768);
}

TEST(ModelConfig, HeadDimMayDifferFromTheQuotient) {
  const ModelConfig config = parsed(with(llama(), "head_dim", 64));
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.query_size(), 32 * 64);
  EXPECT_EQ(config.key_value_size(), 8 * 64);
}

TEST(ModelConfig, OtherArchitecturesAreRefusedByName) {
  json deepseek = llama();
  deepseek.update({{"architectures", {"DeepseekV3ForCausalLM"}}, {"model_type", "deepseek_v3"}});
  expect_error(parse(deepseek), {"expected llama (LlamaForCausalLM) or qwen2 (Qwen2ForCausalLM)",
                                 "found 'deepseek_v3' ('DeepseekV3ForCausalLM')"});
  expect_error(parse(with(llama(), "model_type", "qwen2")), {"'qwen2' ('LlamaForCausalLM')"});
  expect_error(parse(with(llama(), "architectures", {"LlamaForSequenceClassification"})),
               {"'LlamaForSequenceClassification'"});
  expect_error(parse(with(llama(), "architectures", "LlamaForCausalLM")), {"architectures"});
  expect_error(parse(with(llama(), "architectures", json::array({1, 2}))), {"architectures"});
  expect_error(parse(without(without(llama(), "architectures"), "model_type")),
               {"model_type: expected a name, found no such field"});
  EXPECT_TRUE(parse(without(llama(), "model_type")).ok());
}

TEST(ModelConfig, FieldsThatWouldChangeTheComputationAreRefused) {
  struct Case {
    const char* key;
    json value;
  };
  const Case cases[] = {
      {"hidden_act", "gelu"},
      {"mlp_bias", true},
      {"use_sliding_window", true},
      {"rope_interleaved", true},
      {"use_qk_norm", true},
      {"partial_rotary_factor", 0.5},
      {"layer_types", {"full_attention", "sliding_attention"}},
      {"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}},
      {"quantization_config", json::object()},
      {"original_max_position_embeddings", 4096},
  };
  for (const Case& c : cases) expect_error(parse(with(llama(), c.key, c.value)), {c.key});
}

TEST(ModelConfig, Fp8InTilesIsRead) {
  const json fp8 = {{"quant_method", "fp8"},
                    {"fmt", "e4m3"},
                    {"weight_block_size", {128, 128}},
                    {"activation_scheme", "dynamic"},
                    {"scale_fmt", "ue8m0"},
                    {"modules_to_not_convert", {"lm_head"}}};
  EXPECT_TRUE(parsed(with(llama(), "quantization_config", fp8)).f8_tile_scales);
  const auto refused = [&](const char* key, const json& value) {
    expect_error(parse(with(llama(), "quantization_config", with(fp8, key, value))),
                 {"quantization_config", key});
  };
  refused("fmt", "e5m2");
  refused("weight_block_size", {64, 64});
  refused("weight_block_size", 128);
  refused("activation_scheme", "static");
  refused("bits", 4);
  refused("quant_method", "awq");
}

TEST(ModelConfig, SizesThatMakeNoSense) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size"}) {
    expect_error(parse(without(llama(), key)), {"config.json: ", key, "found no such field"});
  }
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const json& value : {json(0), json(-1), json(int64_t{1} << 40), json(UINT64_MAX),
                              json(1.5), json("8"), json(true), json::array({8})}) {
      expect_error(parse(with(llama(), key, value)), {"config.json: ", key});
    }
  }
  expect_error(parse(with(llama(), "num_attention_heads", 33)),
               {"hidden_size: expected a multiple"});
  expect_error(parse(with(llama(), "num_key_value_heads", 5)), {"expected a divisor"});
  expect_error(parse(with(llama(), "head_dim", 127)), {"head_dim: expected an even number"});
  expect_error(parse(with(llama(), "rms_norm_eps", -1)), {"rms_norm_eps"});
  expect_error(parse(with(llama(), "rms_norm_eps", "x")), {"rms_norm_eps"});
  expect_error(parse(with(llama(), "rope_theta", 0)), {"rope_theta"});
  expect_error(parse(with(llama(), "tie_word_embeddings", 1)), {"tie_word_embeddings"});
}

TEST(ModelConfig, TextsThatAreNoConfig) {
  expect_error(parse_model_config("", "config.json"), {"config.json: expected JSON"});
  expect_error(parse_model_config("{", "config.json"), {"config.json: expected JSON"});
  expect_error(parse_model_config("[1]", "config.json"), {"found an array of 1"});
  expect_error(parse_model_config("null", "config.json"), {"found null"});
}

TEST(ModelConfigRope, LinearInBothSpellings) {
  for (const char* type : {"type", "rope_type"}) {
    const RopeScaling scaling =
        parsed(with(llama(), "rope_scaling", {{type, "linear"}, {"factor", 4}})).rope_scaling;
    EXPECT_EQ(scaling.type, RopeScalingType::linear);
    EXPECT_EQ(scaling.factor, 4);
  }
}

TEST(ModelConfigRope, Llama3) {
  const json scaling = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}};
  const RopeScaling found = parsed(with(llama(), "rope_scaling", scaling)).rope_scaling;
  EXPECT_EQ(found.type, RopeScalingType::llama3);
  EXPECT_EQ(found.factor, 8);
  EXPECT_EQ(found.low_freq_factor, 1);
  EXPECT_EQ(found.high_freq_factor, 4);
  EXPECT_EQ(found.original_max_position_embeddings, 8192);
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"}) {
    expect_error(parse(with(llama(), "rope_scaling", without(scaling, key))),
                 {"rope_scaling", key});
  }
  expect_error(parse(with(llama(), "rope_scaling", with(scaling, "high_freq_factor", 1.0))),
               {"expected 0 < low < high"});
  expect_error(parse(with(llama(), "rope_scaling", with(scaling, "beta_fast", 1.0))),
               {"'beta_fast': expected none"});
}

TEST(ModelConfigRope, Transformers5KeepsThetaInside) {
  const json inside = {{"rope_type", "default"}, {"rope_theta", 123456.0}};
  EXPECT_EQ(parsed(with(llama(), "rope_parameters", inside)).rope_theta, 123456);
  EXPECT_EQ(parsed(with(llama(), "rope_parameters", inside)).rope_scaling.type,
            RopeScalingType::none);
  json both = with(llama(), "rope_parameters", inside);
  both["rope_theta"] = 123456.0;
  EXPECT_TRUE(parse(both).ok());
  both["rope_theta"] = 10000.0;
  expect_error(parse(both), {"rope_theta: expected 10000 as outside, found 123456"});
  both = with(llama(), "rope_parameters", inside);
  both["rope_scaling"] = inside;
  expect_error(parse(both), {"rope_scaling"});
  const json yarn = {{"rope_type", "yarn"}, {"rope_theta", 1e6}, {"factor", 4.0}};
  EXPECT_EQ(parsed(with(llama(), "rope_parameters", yarn)).rope_scaling.type,
            RopeScalingType::yarn);
  const json nested = {{"full_attention", {{"rope_type", "default"}}}};
  expect_error(parse(with(llama(), "rope_parameters", nested)), {"'full_attention'"});
}

TEST(ModelConfigRope, YarnDefaultsAndMagnitudes) {
  json scaling = {{"type", "yarn"}, {"factor", 4.0}};
  const auto found = [&] { return parsed(with(llama(), "rope_scaling", scaling)).rope_scaling; };
  EXPECT_EQ(found().type, RopeScalingType::yarn);
  EXPECT_EQ(found().beta_fast, 32);
  EXPECT_EQ(found().beta_slow, 1);
  EXPECT_EQ(found().original_max_position_embeddings, 4096);  // max_position_embeddings
  EXPECT_DOUBLE_EQ(found().attention_factor, 0.1 * std::log(4.0) + 1);
  scaling["original_max_position_embeddings"] = 2048;
  EXPECT_EQ(found().original_max_position_embeddings, 2048);
  scaling["mscale"] = 1.0;
  EXPECT_DOUBLE_EQ(found().attention_factor, 0.1 * std::log(4.0) + 1) << "mscale alone is ignored";
  scaling["mscale_all_dim"] = 0.707;
  EXPECT_DOUBLE_EQ(found().attention_factor,
                   (0.1 * std::log(4.0) + 1) / (0.0707 * std::log(4.0) + 1));
  scaling["mscale"] = 0.707;
  EXPECT_DOUBLE_EQ(found().attention_factor, 1);
  scaling["attention_factor"] = 1.5;
  EXPECT_EQ(found().attention_factor, 1.5);
  scaling["beta_fast"] = 64;
  scaling["beta_slow"] = 2;
  EXPECT_EQ(found().beta_fast, 64);
  EXPECT_EQ(found().beta_slow, 2);
  scaling.erase("factor");
  EXPECT_EQ(found().factor, 2) << "4096 / 2048";
}

TEST(ModelConfigRope, WhatIsNotSupportedIsRefusedByName) {
  const auto refused = [](const json& scaling, std::initializer_list<std::string_view> parts) {
    expect_error(parse(with(llama(), "rope_scaling", scaling)), parts);
  };
  refused({{"type", "dynamic"}, {"factor", 2}}, {"rope_type", "'dynamic'"});
  refused({{"rope_type", "longrope"}, {"factor", 2}}, {"'longrope'"});
  refused({{"type", "linear"}}, {"factor: expected a number, found no such field"});
  refused({{"type", "linear"}, {"factor", 0}}, {"factor: expected 1 to"});
  refused({{"type", "linear"}, {"factor", "4"}}, {"factor: expected a number, found '4'"});
  refused({{"type", "linear"}, {"factor", 4}, {"strange", 1}}, {"'strange': expected none"});
  refused({{"type", "yarn"}, {"factor", 4}, {"truncate", false}}, {"truncate: expected true"});
  refused({{"type", "yarn"}, {"factor", 4}, {"beta_fast", 1}, {"beta_slow", 2}}, {"beta_slow"});
  refused({{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", -1}},
          {"original_max_position_embeddings"});
  refused({{"type", "yarn"}, {"factor", 4}, {"attention_factor", 0}}, {"attention_factor"});
  refused({{"type", "linear"}, {"factor", 4}, {"partial_rotary_factor", 0.5}},
          {"partial_rotary_factor"});
  refused("linear", {"rope_scaling: expected an object"});
}

TEST(GenerationConfig, StopTokensAreOneOrMany) {
  const auto parse = [](const char* text) { return parse_generation_config(text, "g.json"); };
  EXPECT_TRUE(parse("{}")->eos_token_ids.empty());
  EXPECT_TRUE(parse(R"({"eos_token_id": null})")->eos_token_ids.empty());
  EXPECT_EQ(parse(R"({"eos_token_id": 2})")->eos_token_ids, (std::vector<int32_t>{2}));
  EXPECT_EQ(parse(R"({"eos_token_id": [128001, 128009]})")->eos_token_ids,
            (std::vector<int32_t>{128001, 128009}));
  for (const char* id : {"-1", "\"2\"", "1.5", "[2, -3]", "[[2]]", "4294967296", "{}"}) {
    expect_error(parse(fmt::format(R"({{"eos_token_id": {}}})", id).c_str()),
                 {"g.json: eos_token_id: expected token ids"});
  }
}

TEST(GenerationConfig, SamplingDefaults) {
  const Result<GenerationConfig> config = parse_generation_config(
      R"({"temperature": 0.6, "top_p": 0.95, "top_k": 40, "repetition_penalty": 1.1})", "g.json");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->temperature, 0.6);
  EXPECT_EQ(config->top_p, 0.95);
  EXPECT_EQ(config->top_k, 40);
  EXPECT_EQ(config->repetition_penalty, 1.1);
  EXPECT_EQ(parse_generation_config("{}", "g.json")->temperature, -1);
  expect_error(parse_generation_config(R"({"top_p": "x"})", "g.json"), {"g.json: top_p"});
}

}  // namespace
}  // namespace shoehorn
