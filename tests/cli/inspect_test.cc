// Runs merope inspect and merope synth as commands.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "cli/cli.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

Outcome Command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "merope");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = Main(static_cast<int>(argv.size()), argv.data());
  std::string out = testing::internal::GetCapturedStdout();
  return {code, std::move(out), testing::internal::GetCapturedStderr()};
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

// K and V of 2 layers and 2 heads of 8 dimensions have 64 elements per token: 128 bytes in bf16.
constexpr const char* kConfig = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 512, "rope_theta": 5000.0,
  "dtype": "bfloat16", "eos_token_id": [2, 7], "tie_word_embeddings": true})";

class Commands : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteFile(directory_.File("like.json"), kConfig));
    const Outcome made = Command({"synth", "--like", directory_.File("like.json"), Model()});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  std::string Model() const { return directory_.File("model"); }

  TempDir directory_;
};

TEST_F(Commands, InspectSaysWhatIsThere) {
  const Outcome text = Command({"inspect", Model(), "--kv-memory", "8MiB"});
  EXPECT_EQ(text.code, 0) << text.err;
  for (const char* part :
       {"LlamaForCausalLM, 2 layers, hidden 32", "theta 5000", "2 <|end_of_text|>, 7 ă",
        "generation_config.json: eos_token_id", "tokenizer.json: post_processor",
        "20 tensors found, 20 expected (20 BF16)", "Weight check  OK",
        "128 bytes a token in bf16, 256 in fp32",
        "8.0 MiB (--kv-memory) hold 65,536 tokens in bf16, 32,768 in fp32",
        "16 requests of 4,096 tokens at once in bf16, 8 in fp32"})
    EXPECT_TRUE(Contains(text.out, part)) << part << "\n" << text.out;

  const Outcome json = Command({"inspect", Model(), "--json", "--kv-memory", "8MiB"});
  EXPECT_EQ(json.code, 0);
  const auto parsed = nlohmann::json::parse(json.out);
  EXPECT_EQ(parsed["config"]["num_key_value_heads"], 2);
  EXPECT_EQ(parsed["eos_token_ids"], (std::vector{2, 7}));
  EXPECT_EQ(parsed["tokenizer"]["prefix_ids"], std::vector{2});
  EXPECT_EQ(parsed["weights"]["ok"], true);
  EXPECT_EQ(parsed["kv_cache"]["bf16"]["tokens"], 65536);
}

TEST_F(Commands, InspectSaysWhichRope) {
  const auto rope = [&](const std::string& scaling) {
    std::string config = kConfig;
    config.insert(config.rfind('}'), scaling);
    EXPECT_TRUE(WriteFile(Model() + "/config.json", config));
    const Outcome json = Command({"inspect", Model(), "--json"});
    return nlohmann::json::parse(json.out)["config"]["rope_scaling"].dump();
  };
  EXPECT_EQ(rope(""), "null");
  EXPECT_EQ(rope(R"(, "rope_scaling": {"rope_type": "linear", "factor": 2.0})"),
            R"({"factor":2.0,"rope_type":"linear"})");
  EXPECT_EQ(rope(R"(, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 64})"),
            R"({"factor":8.0,"high_freq_factor":4.0,"low_freq_factor":1.0,)"
            R"("original_max_position_embeddings":64,"rope_type":"llama3"})");
}

TEST_F(Commands, InspectEndsWithOneWhenTheCheckFails) {
  const std::string config = Model() + "/config.json";
  auto json = nlohmann::json::parse(*ReadFile(config));
  json["num_hidden_layers"] = 3;
  ASSERT_TRUE(WriteFile(config, json.dump()));
  const Outcome text = Command({"inspect", Model()});
  EXPECT_EQ(text.code, kExitCheckFailed);
  EXPECT_TRUE(Contains(text.out, "Weight check  FAILED"));
  EXPECT_TRUE(
      Contains(text.out, "missing     model.layers.2.mlp.up_proj.weight: expected shape (64, 32)"));
  const Outcome parsed = Command({"inspect", Model(), "--json"});
  EXPECT_EQ(parsed.code, kExitCheckFailed);
  EXPECT_EQ(nlohmann::json::parse(parsed.out)["weights"]["missing"].size(), 9u);
}

TEST_F(Commands, InspectNamesWhatAQwenLacks) {
  const std::string like = directory_.File("qwen3.json"), config = Model() + "/config.json";
  auto json = nlohmann::json::parse(kConfig);
  json.update({{"architectures", {"Qwen3ForCausalLM"}}, {"model_type", "qwen3"}, {"head_dim", 8}});
  ASSERT_TRUE(WriteFile(like, json.dump()));
  ASSERT_EQ(Command({"synth", "--like", like, Model(), "--force"}).code, 0);
  Outcome text = Command({"inspect", Model()});
  EXPECT_EQ(text.code, 0) << text.err;
  for (const char* part : {"Qwen3ForCausalLM, 2 layers, hidden 32", "no biases",
                           ", also on each head of q and k", "24 tensors found, 24 expected"})
    EXPECT_TRUE(Contains(text.out, part)) << part << "\n" << text.out;

  // Fewer, larger heads: only the norms of the heads have other shapes.
  const auto made = nlohmann::json::parse(*ReadFile(config));
  json = made;
  json.update({{"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"head_dim", 16}});
  ASSERT_TRUE(WriteFile(config, json.dump()));
  text = Command({"inspect", Model()});
  EXPECT_EQ(text.code, kExitCheckFailed);
  EXPECT_TRUE(Contains(text.out,
                       "wrong shape model.layers.1.self_attn.k_norm.weight: expected "
                       "shape (16), found (8)"))
      << text.out;

  json = made;
  json.update({{"architectures", {"Qwen2ForCausalLM"}}, {"model_type", "qwen2"}});
  ASSERT_TRUE(WriteFile(config, json.dump()));
  text = Command({"inspect", Model()});
  EXPECT_EQ(text.code, kExitCheckFailed);
  for (const char* part :
       {"Qwen2ForCausalLM", "biases of q, k and v",
        "missing     model.layers.0.self_attn.k_proj.bias: expected shape (16), found nothing",
        "extra       model.layers.0.self_attn.q_norm.weight: expected nothing, found shape (8)"})
    EXPECT_TRUE(Contains(text.out, part)) << part << "\n" << text.out;

  json = made;
  json.update({{"use_sliding_window", true}, {"sliding_window", 256}, {"max_window_layers", 1}});
  ASSERT_TRUE(WriteFile(config, json.dump()));
  text = Command({"inspect", Model()});
  EXPECT_EQ(text.code, kExitError);
  EXPECT_TRUE(Contains(text.err, "config.json: sliding_window: a window is not supported"))
      << text.err;
}

TEST_F(Commands, ErrorsGoToStandardErrorWithTheirCode) {
  const Outcome missing = Command({"inspect", directory_.File("nowhere")});
  EXPECT_EQ(missing.code, kExitError);
  EXPECT_TRUE(missing.out.empty());
  EXPECT_TRUE(Contains(missing.err, "merope: error: "));
  EXPECT_TRUE(Contains(missing.err, "nowhere: no such file or directory"));
  EXPECT_EQ(Command({"inspect"}).code, kExitUsage);
  EXPECT_EQ(Command({"inspect", Model(), "--kv-memory", "lots"}).code, kExitUsage);
  EXPECT_EQ(Command({"inspect", "--help"}).code, 0);
}

TEST_F(Commands, SynthRefusesToOverwriteAndKnowsItsModels) {
  const Outcome again = Command({"synth", "--like", directory_.File("like.json"), Model()});
  EXPECT_EQ(again.code, kExitError);
  EXPECT_TRUE(Contains(again.err, "expected an empty directory (or --force)"));
  EXPECT_EQ(Command({"synth", "--like", Model(), Model(), "--force"}).code, 0);
  const Outcome unknown = Command({"synth", "--like", "gpt-5", directory_.File("other")});
  EXPECT_EQ(unknown.code, kExitError);
  EXPECT_TRUE(Contains(unknown.err, "pleias-rag-350m"));
}

}  // namespace
}  // namespace merope
