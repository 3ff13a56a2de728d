// Makes a whole report from a tiny checkpoint of random weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/mapped_file.h"
#include "base/threads.h"
#include "checkpoint/synth.h"
#include "engine/load.h"
#include "report/collect.h"
#include "report/error_sample.h"
#include "report/identity.h"
#include "report/sections.h"
#include "report/write_report.h"
#include "tests/report/golden.h"
#include "tests/report/markup.h"
#include "tests/support/gguf_convert.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

ModelConfig TinyConfig() {
  ModelConfig config = LlamaConfig({.context = 320});
  config.tie_word_embeddings = true;
  config.dtype = DType::kBF16;
  config.eos_token_ids = {2};
  return config;
}

void Make(const std::string& directory) {
  const Status made = Synthesize(directory, TinyConfig(), {.std_dev = 0.2, .force = true});
  ASSERT_TRUE(made) << made.error().message;
}

std::string Read(const std::string& path) {
  const auto text = ReadFile(path);
  return text ? *text : "";
}

TEST(FrontMatter, TopLevelKeysOfTheFirstBlock) {
  const std::string_view readme =
      "---\nlanguage: en\nlicense: \"apache-2.0\"\r\n---\n# Title\nlicense: mit\n";
  EXPECT_EQ(FrontMatter(readme, "license"), "apache-2.0");
  EXPECT_EQ(FrontMatter(readme, "lang"), "");
  EXPECT_EQ(FrontMatter("# Title\n---\nlicense: mit\n---\n", "license"), "");
  EXPECT_EQ(FrontMatter("---\nlicense:\n---\n", "license"), "");
  EXPECT_EQ(FrontMatter("---\nlicense: mit", "license"), "mit");
}

// A model compared with itself has no error. bf16 compared with fp32 has an error, and the
// second-order formula predicts its KL.
TEST(ErrorSample, NothingAgainstItselfAndConsistentAgainstBf16) {
  const TempDir dir;
  Make(dir.path());
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto load = [&](Precision precision) {
    RuntimeOptions options;
    options.precision = precision;
    auto runtime = LoadRuntime(*checkpoint, options);
    EXPECT_TRUE(runtime);
    return std::move(*runtime);
  };
  const Runtime a = load(Precision::kFp32), b = load(Precision::kFp32), c = load(Precision::kBf16);
  std::vector<std::vector<int32_t>> prompts(4);
  for (int32_t i = 0; i < 160; ++i) prompts[static_cast<size_t>(i / 40)].push_back(i * 37 % 400);

  const auto same = MeasureErrors(*a.model, *b.model, prompts, {});
  ASSERT_TRUE(same);
  EXPECT_EQ(same->positions, 160);
  EXPECT_EQ(same->sigma, 0);
  EXPECT_EQ(same->flips, 0);
  EXPECT_EQ(same->max_probability_l2, 0);

  const auto other = MeasureErrors(*a.model, *c.model, prompts, {});
  ASSERT_TRUE(other);
  EXPECT_GT(other->sigma, 0);
  EXPECT_NEAR(other->mean_kl_predicted / other->mean_kl, 1, 0.05);
  EXPECT_GE(other->mean_probability_l2, other->mean_angle_bound * 0.999);
  double mass = 0, density = 0;
  int64_t tokens = 0;
  for (const ProbabilityBin& bin : other->bins) mass += bin.mass, tokens += bin.tokens;
  for (const double share : other->histogram) density += share * 8 / ErrorSample::kHistogram;
  EXPECT_NEAR(mass, 1, 1e-9);
  EXPECT_EQ(tokens, 160 * 400);
  EXPECT_NEAR(density + other->beyond_4_sigma, 1, 1e-9);
  EXPECT_EQ(WeightRoundingError(*checkpoint), 0);  // the weights are bf16 values
}

TEST(Report, RefusesADirectoryItCannotMake) {
  const TempDir dir;
  ASSERT_TRUE(WriteFile(dir.File("file"), "x"));
  const Status status = PrepareReport(dir.File("file"));
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find(dir.File("file")), std::string::npos);
}

TEST(Report, PreparingLeavesNothingBehind) {
  const TempDir dir;
  EXPECT_TRUE(PrepareReport(dir.File("a/b")));
  EXPECT_FALSE(std::filesystem::exists(dir.File("a")));
  ASSERT_TRUE(std::filesystem::create_directory(dir.File("a")));
  EXPECT_TRUE(PrepareReport(dir.File("a")));
  EXPECT_TRUE(std::filesystem::is_empty(dir.File("a")));
  ASSERT_TRUE(std::filesystem::create_directory(dir.File("a/figures")));
  EXPECT_TRUE(PrepareReport(dir.File("a")));
  EXPECT_TRUE(std::filesystem::exists(dir.File("a/figures")));
}

TEST(Report, EveryFigureIsAFile) {
  const TempDir dir;
  const Language english[] = {Language::kEnglish};
  const auto files = WriteReport(GoldenReport(), dir.path(), english);
  ASSERT_TRUE(files) << files.error().message;
  std::vector<std::string> expected;
  for (const char* id :
       {"parameters", "prompt-kl", "tpot", "error-histogram", "margins", "relative-error"})
    expected.push_back(fmt::format("figures/{}.en.svg", id));
  for (const std::string& figure : expected)
    EXPECT_NE(Read(dir.File("report.en.md")).find("](" + figure + ")"), std::string::npos);
  expected.insert(expected.end(), {"report.en.md", "report.en.html", "report.json"});
  EXPECT_EQ(*files, expected);
  for (const std::string& file : *files) EXPECT_TRUE(std::filesystem::exists(dir.File(file)));
}

TEST(ReadIdentity, TheNameOfTheDirectoryAndTheReadmesLicence) {
  const TempDir dir;
  const std::string path = dir.File("a-model");
  Make(path);
  const auto identity = [&](const std::string& of) {
    const auto checkpoint = Checkpoint::Open(of);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    return *ReadIdentity(*checkpoint);
  };
  EXPECT_EQ(identity(path).name, "a-model");
  EXPECT_EQ(identity(path + "/").name, "a-model");
  EXPECT_EQ(identity(path).license, "");
  EXPECT_EQ(identity(path).license_source, "");
  ASSERT_TRUE(WriteFile(path + "/README.md", "---\nlicense: mit\n---\n"));
  EXPECT_EQ(identity(path).license, "mit");
  EXPECT_EQ(identity(path).license_source, "README.md");
}

TEST(ReadIdentity, WhatAGgufSaysOfItself) {
  const TempDir dir;
  Make(dir.File("a-model"));
  const auto source = Checkpoint::Open(dir.File("a-model"));
  ASSERT_TRUE(source) << source.error().message;
  const auto identity = [&](const std::function<void(GgufWriter&)>& keys) {
    const std::string path = dir.File("stem.gguf");
    GgufWriter writer = ConvertToGguf(*source);
    keys(writer);
    EXPECT_TRUE(WriteFile(path, writer.Bytes()));
    const auto checkpoint = Checkpoint::Open(path);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    return *ReadIdentity(*checkpoint);
  };
  ModelIdentity found = identity([](GgufWriter&) {});
  EXPECT_EQ(found.name, "stem");
  EXPECT_EQ(found.license_source, "");
  found = identity([](GgufWriter& writer) {
    writer.String("general.name", "A name");
    writer.String("general.license", "mit");
  });
  EXPECT_EQ(found.name, "A name");
  EXPECT_EQ(found.license, "mit");
  EXPECT_EQ(found.license_source, "general.license");
}

TEST(Report, EndToEnd) {
  const TempDir model, out;
  Make(model.path());
  ASSERT_TRUE(WriteFile(model.File("README.md"), "---\nlicense: mit\n---\n"));
  std::vector<std::string> phases;
  int64_t rounds = 0;
  const auto data =
      Collect({.model = model.path(), .mode = VerifyMode::kQuick, .others = {Precision::kInt8}},
              {[&](std::string_view phase, int64_t done, int64_t total) {
                EXPECT_LE(done, total);
                rounds += phase == "comparison";
                if (phases.empty() || phases.back() != phase) phases.emplace_back(phase);
              }});
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_TRUE(data->weights.ok());
  EXPECT_EQ(data->identity.license, "mit");
  EXPECT_EQ(data->latency.cases.size(), 8u);
  EXPECT_EQ(data->verify.first_token.rows.size(), 25u);
  EXPECT_EQ(data->latency.repeats, 3);
  EXPECT_EQ(data->latency.threads, DefaultThreads());
  EXPECT_EQ(data->modes.cases.size(), 4u);
  EXPECT_EQ(data->generation.size(), 3u);
  for (const GenerationPair& pair : data->generation) EXPECT_LE(pair.target_tokens, 48);
  EXPECT_GT(data->seconds, 0);
  int64_t parameters = 0;
  for (const ParameterGroup& group : data->parameters) parameters += group.parameters;
  EXPECT_EQ(parameters, data->weights.parameters);
  const LoadFacts& load = data->load;
  for (const int64_t found : {load.captured_ops, load.captured_steps, load.captured_bytes,
                              load.weight_bytes, load.resident_before, load.peak})
    EXPECT_GT(found, 0);
  EXPECT_GE(load.kv_pages * kPageTokens, 320);
  EXPECT_GT(load.matrices_fp32_bytes, load.weight_bytes);

  // fp32 and bf16: the prompt has half the tokens of the longest prompt, plus one. There are four
  // rounds with one run of each.
  const SpeedComparison& c = data->comparison;
  EXPECT_EQ(c.input_length, 65);
  EXPECT_EQ(c.output_length, 50);
  EXPECT_EQ(rounds, 4);
  ASSERT_EQ(c.ratios.size(), 4u);
  EXPECT_EQ(c.baseline.precision, "fp32");
  EXPECT_EQ(c.target.precision, "bf16");
  EXPECT_EQ(c.target.repeats, 1);
  EXPECT_EQ(c.target.warmup, 1);
  EXPECT_DOUBLE_EQ(c.ratios.back(),
                   c.baseline.cases[0].latency.p50 / c.target.cases[0].latency.p50);
  EXPECT_DOUBLE_EQ(c.ratio.p50, Summarize(c.ratios).p50);
  EXPECT_GE(c.target_tpot.max, c.target.cases[0].tpot.p50);

  ASSERT_EQ(data->dtypes.size(), 2u);  // first the target, with the verification of the report
  EXPECT_EQ(data->dtypes[0].precision, Precision::kBf16);
  EXPECT_EQ(data->dtypes[0].verify.seconds, data->verify.seconds);
  EXPECT_EQ(data->dtypes[1].precision, Precision::kInt8);
  EXPECT_NE(data->dtypes[1].verify.seconds, data->verify.seconds);
  EXPECT_LT(data->dtypes[1].weight_bytes, data->dtypes[0].weight_bytes);
  for (const DtypeRow& row : data->dtypes) {
    EXPECT_GT(row.prefill_tokens_per_second, 0);
    EXPECT_GT(row.decode_tokens_per_second, 10);  // a step takes far less than 0.1 s
  }
  for (const char* phase : {"performance", "weights", "comparison", "generation", "errors"})
    EXPECT_NE(std::ranges::find(phases, phase), phases.end()) << phase;

  const Language both[] = {Language::kEnglish, Language::kChinese};
  const auto files = WriteReport(*data, out.path(), both);
  ASSERT_TRUE(files) << files.error().message;
  for (const std::string& file : *files)
    EXPECT_GT(std::filesystem::file_size(out.File(file)), 100u) << file;

  for (const char* language : {"en", "zh"}) {
    const std::string html = Read(out.File(fmt::format("report.{}.html", language)));
    EXPECT_EQ(MarkupFault(html), "");
    const std::string markdown = Read(out.File(fmt::format("report.{}.md", language)));
    for (int section = 1; section <= 9; ++section)
      EXPECT_NE(markdown.find(fmt::format("\n## {}. ", section)), std::string::npos) << section;
    EXPECT_EQ(markdown.find("nan"), std::string::npos);
    for (const char* fact : {"mit", "LlamaForCausalLM", "What is RAG in AI?", "PASS"})
      EXPECT_NE(html.find(fact), std::string::npos) << fact;
  }
  for (const std::string& file : *files)
    EXPECT_EQ(file.ends_with(".svg") ? MarkupFault(Read(out.File(file))) : "", "") << file;

  const auto json = ReadJsonFile(out.File("report.json"));
  ASSERT_TRUE(json) << json.error().message;
  for (const char* key : {"model", "machine", "config", "weights", "load", "generation", "verify",
                          "latency", "errors"})
    EXPECT_TRUE(json->contains(key)) << key;
  EXPECT_EQ((*json)["weights"]["ok"], true);
  EXPECT_EQ((*json)["config"]["kv_bytes_per_token"], 2 * 2 * 2 * 12 * 2);

  // Both languages have the same sequence of block types.
  const Document english = BuildReport(*data, Language::kEnglish),
                 chinese = BuildReport(*data, Language::kChinese);
  ASSERT_EQ(english.blocks.size(), chinese.blocks.size());
  for (size_t i = 0; i < english.blocks.size(); ++i)
    EXPECT_EQ(english.blocks[i].index(), chinese.blocks[i].index()) << i;
}

}  // namespace
}  // namespace merope
