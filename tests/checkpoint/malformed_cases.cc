#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "tests/checkpoint/support.h"
#include "tests/support/gguf_convert.h"
#include "tests/support/malformed.h"

namespace merope {
namespace {

namespace fs = std::filesystem;
using Make = std::function<std::string(const std::string&)>;

// Changes a field of a JSON file in the directory.
Make PatchIn(const std::string& file, const std::string& field, const std::optional<Json>& value) {
  return [=](const std::string& directory) {
    Patch(directory + "/" + file, field, value);
    return directory;
  };
}
Make Replace(const std::string& file, const std::string& content) {
  return [=](const std::string& directory) {
    Write(directory + "/" + file, content);
    return directory;
  };
}
Make Remove(const std::string& file) {
  return [=](const std::string& directory) {
    fs::remove(directory + "/" + file);
    return directory;
  };
}

// Changes the header of model.safetensors.
Make Header(const std::function<void(Json*)>& change) {
  return [=](const std::string& directory) {
    const std::string path = directory + "/model.safetensors", file = Read(path);
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof(length));
    Json header = *ParseJson(file.substr(8, length), path);
    change(&header);
    Write(path, Safetensors(header.dump(), file.substr(8 + length)));
    return directory;
  };
}
constexpr const char* kNorm = "model.norm.weight";

// Writes a GGUF file with the keys of TinyConfig and with what `add` adds.
Make Gguf(const std::function<void(GgufWriter*)>& add) {
  return [=](const std::string& directory) {
    GgufWriter writer;
    AddModelKeys(TinyConfig(), &writer);
    add(&writer);
    const std::string path = directory + "/damaged.gguf";
    Write(path, writer.Bytes());
    return path;
  };
}
// Writes a GGUF file with only what `add` adds.
Make BareGguf(const std::function<void(GgufWriter*)>& add) {
  return [=](const std::string& directory) {
    GgufWriter writer;
    add(&writer);
    const std::string path = directory + "/damaged.gguf";
    Write(path, writer.Bytes());
    return path;
  };
}
GgufWriter::Tensor Floats(const std::string& name, uint64_t n) {
  return {name, 0, {n}, std::string(n * 4, '\0')};
}

Make Tokenizer(const std::function<void(Json*)>& change) {
  return [=](const std::string& directory) {
    const std::string path = directory + "/tokenizer.json";
    Json json = *ParseJson(Read(path), path);
    change(&json);
    Write(path, json.dump(-1, ' ', false, Json::error_handler_t::ignore));
    return directory;
  };
}

void AddPathCases(std::vector<MalformedCase>* cases) {
  cases->push_back(
      {"PathMissing", [](const auto& d) { return d + "/nowhere"; }, "nowhere", "no such file"});
  cases->push_back({"WeightsFileNamedItself",
                    [](const auto& d) { return d + "/model.safetensors"; }, "model.safetensors",
                    "name the directory"});
  cases->push_back({"PickleNamedItself",
                    [](const auto& d) {
                      Write(d + "/pytorch_model.bin", "PK");
                      return d + "/pytorch_model.bin";
                    },
                    "pytorch_model.bin", "save_pretrained"});
  cases->push_back({"ConfigMissing", Remove("config.json"), "config.json", "model.gguf"});
  cases->push_back({"ConfigIsADirectory",
                    [](const auto& d) {
                      fs::remove(d + "/config.json");
                      fs::create_directory(d + "/config.json");
                      return d;
                    },
                    "config.json", "found a directory"});
  cases->push_back(
      {"WeightsMissing", Remove("model.safetensors"), "model.safetensors", "no such file"});
  cases->push_back({"WeightsAreADirectory",
                    [](const auto& d) {
                      fs::remove(d + "/model.safetensors");
                      fs::create_directory(d + "/model.safetensors");
                      return d;
                    },
                    "model.safetensors", "found a directory"});
  cases->push_back({"OnlyAPickle",
                    [](const auto& d) {
                      fs::rename(d + "/model.safetensors", d + "/pytorch_model.bin");
                      return d;
                    },
                    "pytorch_model.bin", "save_pretrained"});
  cases->push_back({"OnlyAnAdapter",
                    [](const auto& d) {
                      fs::remove(d + "/model.gguf");
                      fs::rename(d + "/config.json", d + "/adapter_config.json");
                      return d;
                    },
                    "config.json", "adapter"});
}

void AddConfigCases(std::vector<MalformedCase>* cases) {
  const std::string file = "config.json";
  const auto patch = [&](const char* name, const char* field, const std::optional<Json>& value) {
    cases->push_back({name, PatchIn(file, field, value), file, field});
  };
  cases->push_back({"ConfigIsNoJson", Replace(file, "{\"hidden_size\": }"), file, "invalid JSON"});
  cases->push_back({"ConfigIsEmpty", Replace(file, ""), file, "invalid JSON"});
  cases->push_back({"ConfigIsAList", Replace(file, "[]"), file, "expected an object"});
  cases->push_back(
      {"ConfigIsBadUtf8", Replace(file, "{\"model_type\": \"\xff\"}"), file, "invalid JSON"});
  cases->push_back({"ConfigNestedDeeply",
                    Replace(file, std::string(100'000, '[') + std::string(100'000, ']')), file,
                    "nested"});
  patch("ConfigWithoutHiddenSize", "hidden_size", std::nullopt);
  patch("ConfigWithHugeLayers", "num_hidden_layers", int64_t{1} << 60);
  patch("ConfigWithNegativeVocabulary", "vocab_size", -5);
  patch("ConfigWithTextForHeads", "num_attention_heads", "four");
  patch("ConfigOfUnevenHeads", "num_key_value_heads", 3);
  patch("ConfigOfOddHeads", "head_dim", 7);
  patch("ConfigOfAnotherModel", "architectures", Json{"MistralForCausalLM"});
  patch("ConfigWithDynamicRope", "rope_scaling", Json{{"type", "dynamic"}, {"factor", 2.0}});
  patch("ConfigWithYarnLessFactor", "rope_scaling", Json{{"rope_type", "yarn"}});
  patch("ConfigWithGelu", "hidden_act", "gelu");
  patch("ConfigOfAGptqModel", "quantization_config", Json{{"quant_method", "gptq"}});
  cases->push_back({"GenerationConfigWithBadEos",
                    PatchIn("generation_config.json", "eos_token_id", "</s>"),
                    "generation_config.json", "eos_token_id"});
  cases->push_back({"GenerationConfigIsNoJson", Replace("generation_config.json", "nope"),
                    "generation_config.json", "invalid JSON"});
}

void AddSafetensorsCases(std::vector<MalformedCase>* cases) {
  const std::string file = "model.safetensors";
  const auto raw = [&](const char* name, const std::string& content, const char* field) {
    cases->push_back({name, Replace(file, content), file, field});
  };
  const auto header = [&](const char* name, const char* field,
                          const std::function<void(Json*)>& change) {
    cases->push_back({name, Header(change), file, field});
  };
  raw("SafetensorsEmpty", "", "header length");
  raw("SafetensorsOfSevenBytes", "1234567", "header length");
  raw("SafetensorsHeaderPastTheEnd", std::string("\xff\0\0\0\0\0\0\0{}", 10), "header length");
  raw("SafetensorsHugeHeader", std::string(8, '\xff') + "{}", "header length");
  raw("SafetensorsHeaderNoJson", Safetensors("{\"a\"", ""), "header: invalid JSON");
  raw("SafetensorsHeaderBadUtf8", Safetensors("{\"\xc3(\": {}}", ""), "header: invalid JSON");
  raw("SafetensorsHeaderAList", Safetensors("[]", ""), "header: expected an object");
  raw("SafetensorsEntryNoObject", Safetensors("{\"a\": 1}", ""), "tensor \"a\"");
  raw("SafetensorsNameTwice",
      Safetensors(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                      "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
                  std::string(8, '\0')),
      "data_offsets");
  header("SafetensorsUnknownDType", "dtype", [](Json* h) { (*h)[kNorm]["dtype"] = "F12"; });
  header("SafetensorsDoubleWeights", "F64", [](Json* h) {
    (*h)[kNorm]["dtype"] = "F64";
    (*h)[kNorm]["shape"] = {24};
  });
  header("SafetensorsNoShape", "shape", [](Json* h) { (*h)[kNorm].erase("shape"); });
  header("SafetensorsNegativeShape", "shape", [](Json* h) { (*h)[kNorm]["shape"] = {-48}; });
  header("SafetensorsEmptyShape", "shape",
         [](Json* h) { (*h)[kNorm]["shape"] = {int64_t{1} << 60, 0, int64_t{1} << 60}; });
  header("SafetensorsOverflowingShape", "shape",
         [](Json* h) { (*h)[kNorm]["shape"] = {int64_t{1} << 40, int64_t{1} << 40}; });
  header("SafetensorsWrongSize", "data_offsets", [](Json* h) { (*h)[kNorm]["shape"] = {47}; });
  header("SafetensorsOffsetsPastTheEnd", "data_offsets", [](Json* h) {
    Json& offsets = (*h)[kNorm]["data_offsets"];
    offsets = {offsets[0].get<int64_t>() + (1 << 30), offsets[1].get<int64_t>() + (1 << 30)};
  });
  header("SafetensorsOffsetsReversed", "data_offsets", [](Json* h) {
    Json& offsets = (*h)[kNorm]["data_offsets"];
    offsets = {offsets[1], offsets[0]};
  });
  header("SafetensorsOffsetsOverlap", "data_offsets", [](Json* h) {
    Json& offsets = (*h)[kNorm]["data_offsets"];
    offsets = {offsets[0].get<int64_t>() - 4, offsets[1].get<int64_t>() - 4};
  });
  header("SafetensorsHole", "data", [](Json* h) { h->erase("model.layers.0.mlp.up_proj.weight"); });
  header("SafetensorsOffsetsAreText", "data_offsets",
         [](Json* h) { (*h)[kNorm]["data_offsets"] = "0-192"; });
}

void AddIndexCases(std::vector<MalformedCase>* cases) {
  const std::string index = "model.safetensors.index.json";
  const auto with = [&](const char* name, const std::string& content, const char* file,
                        const char* field) {
    cases->push_back({name,
                      [=](const std::string& d) {
                        fs::rename(d + "/model.safetensors", d + "/part.safetensors");
                        Write(d + "/" + index, content);
                        return d;
                      },
                      file, field});
  };
  with("IndexIsNoJson", "{", index.c_str(), "invalid JSON");
  with("IndexWithoutAMap", "{}", index.c_str(), "weight_map");
  with("IndexLeadsElsewhere", R"({"weight_map": {"a": "../part.safetensors"}})", index.c_str(),
       "weight_map: a");
  with("IndexNamesNoFile", R"({"weight_map": {"a": 7}})", index.c_str(), "weight_map: a");
  with("IndexNamesAMissingShard", R"({"weight_map": {"a": "gone.safetensors"}})",
       "gone.safetensors", "No such file");
  with("IndexOmitsTensors", R"({"weight_map": {"a": "part.safetensors"}})", index.c_str(),
       "weight_map: ");
}

void AddGgufCases(std::vector<MalformedCase>* cases) {
  const auto add = [&](const char* name, const char* field, const Make& make) {
    cases->push_back({name, make, "damaged.gguf", field});
  };
  const auto raw = [&](const char* name, const std::string& bytes, const char* field) {
    add(name, field, [=](const std::string& d) {
      Write(d + "/damaged.gguf", bytes);
      return d + "/damaged.gguf";
    });
  };
  const auto word = [](uint32_t value) {
    return std::string(reinterpret_cast<const char*>(&value), 4);
  };
  const auto count = [](uint64_t value) {
    return std::string(reinterpret_cast<const char*>(&value), 8);
  };
  raw("GgufEmpty", "", "magic");
  raw("GgufOtherMagic", "GGML" + std::string(60, '\0'), "magic");
  raw("GgufVersionOne", "GGUF" + word(1) + count(0) + count(0), "version");
  raw("GgufBigEndian", "GGUF" + word(3u << 24) + count(0) + count(0), "big-endian");
  raw("GgufHugeTensorCount", "GGUF" + word(3) + count(~0ull) + count(0), "tensor count");
  raw("GgufHugeKeyCount", "GGUF" + word(3) + count(0) + count(1ull << 61), "key count");
  raw("GgufHugeKeyName",
      "GGUF" + word(3) + count(0) + count(1) + count(~0ull) + std::string(64, 'x'), "key 0");
  add("GgufUnknownValueType", "some.key",
      Gguf([](GgufWriter* w) { w->Raw("some.key", 99, "1234"); }));
  add("GgufHugeArray", "some.key",
      Gguf([=](GgufWriter* w) { w->Raw("some.key", 9, word(4) + count(1ull << 62)); }));
  add("GgufNestedArray", "some.key",
      Gguf([=](GgufWriter* w) { w->Raw("some.key", 9, word(9) + count(1)); }));
  add("GgufKeyTwice", "general.name", Gguf([](GgufWriter* w) {
        w->String("general.name", "a");
        w->String("general.name", "b");
      }));
  add("GgufOtherArchitecture", "general.architecture",
      BareGguf([](GgufWriter* w) { w->String("general.architecture", "mamba"); }));
  add("GgufQwenSizesMissing", "qwen2.embedding_length",
      BareGguf([](GgufWriter* w) { w->String("general.architecture", "qwen2"); }));
  add("GgufNoArchitecture", "general.architecture", BareGguf([](GgufWriter*) {}));
  add("GgufSizesMissing", "llama.embedding_length",
      BareGguf([](GgufWriter* w) { w->String("general.architecture", "llama"); }));
  add("GgufTextForASize", "llama.embedding_length", BareGguf([](GgufWriter* w) {
        w->String("general.architecture", "llama");
        w->String("llama.embedding_length", "48");
      }));
  add("GgufSplit", "split.count", Gguf([](GgufWriter* w) { w->Uint32("split.count", 3); }));
  add("GgufExperts", "llama.expert_count",
      Gguf([](GgufWriter* w) { w->Uint32("llama.expert_count", 8); }));
  add("GgufLongrope", "llama.rope.scaling.type",
      Gguf([](GgufWriter* w) { w->String("llama.rope.scaling.type", "longrope"); }));
  add("GgufAlignmentZero", "general.alignment",
      Gguf([](GgufWriter* w) { w->Uint32("general.alignment", 0); }));
  add("GgufAlignmentOdd", "general.alignment",
      Gguf([](GgufWriter* w) { w->Uint32("general.alignment", 24); }));
  add("GgufWithoutTensors", "tensor count", Gguf([](GgufWriter*) {}));
  add("GgufUnknownTensorType", "tensor \"t\": type",
      Gguf([](GgufWriter* w) { w->Add({"t", 77, {4}, "1234"}); }));
  add("GgufQ2KTensor", "Q2_K is not supported",
      Gguf([](GgufWriter* w) { w->Add({"t", 10, {256}, std::string(84, '\0')}); }));
  add("GgufIqTensor", "IQ4_XS is not supported",
      Gguf([](GgufWriter* w) { w->Add({"t", 23, {256}, std::string(136, '\0')}); }));
  add("GgufTensorTwice", "tensor \"t\"", Gguf([](GgufWriter* w) {
        w->Add(Floats("t", 8));
        w->Add(Floats("t", 8));
      }));
  add("GgufFiveDimensions", "dimensions",
      Gguf([](GgufWriter* w) { w->Add({"t", 0, {1, 1, 1, 1, 1}, "1234"}); }));
  add("GgufZeroDimension", "shape", Gguf([](GgufWriter* w) { w->Add({"t", 0, {0}, ""}); }));
  add("GgufOverflowingShape", "shape",
      Gguf([](GgufWriter* w) { w->Add({"t", 0, {1ull << 40, 1ull << 40}, "1234"}); }));
  add("GgufOverflowingBytes", "shape",
      Gguf([](GgufWriter* w) { w->Add({"t", 0, {1ull << 62}, "1234"}); }));
  add("GgufPartOfABlock", "shape",
      Gguf([](GgufWriter* w) { w->Add({"t", 8, {33}, std::string(68, '\0')}); }));
  add("GgufOffsetUnaligned", "offset", Gguf([](GgufWriter* w) {
        w->Add(Floats("t", 8));
        w->Add({"u", 0, {8}, std::string(32, '\0'), 4});
      }));
  add("GgufOffsetsOverlap", "offset", Gguf([](GgufWriter* w) {
        w->Add(Floats("t", 16));
        w->Add({"u", 0, {8}, std::string(32, '\0'), -32});
      }));
  add("GgufOffsetPastTheEnd", "data",
      Gguf([](GgufWriter* w) { w->Add({"t", 0, {8}, std::string(32, '\0'), int64_t{1} << 40}); }));
  add("GgufTensorPastTheEnd", "data",
      Gguf([](GgufWriter* w) { w->Add({"t", 0, {1 << 20}, "1234"}); }));
  add("GgufRopeFreqsMisShaped", "rope_freqs.weight",
      Gguf([](GgufWriter* w) { w->Add(Floats("rope_freqs.weight", 5)); }));
  add("GgufRopeFreqsZero", "rope_freqs.weight",
      Gguf([](GgufWriter* w) { w->Add(Floats("rope_freqs.weight", 3)); }));
}

void AddTokenizerCases(std::vector<MalformedCase>* cases) {
  const auto add = [&](const char* name, const char* file, const char* field, const Make& make) {
    cases->push_back({name, make, file, field, true});
  };
  const char* file = "tokenizer.json";
  add("TokenizerMissing", file, "cannot open", Remove(file));
  add("TokenizerModelOnly", "tokenizer.model", "AutoTokenizer", [](const std::string& d) {
    fs::rename(d + "/tokenizer.json", d + "/tokenizer.model");
    return d;
  });
  add("TokenizerIsNoJson", file, "invalid JSON", Replace(file, "{]"));
  add("TokenizerIsBadUtf8", file, "invalid JSON", Replace(file, "{\"model\": \"\xf0\x28\"}"));
  add("TokenizerWithoutAModel", file, "model", Tokenizer([](Json* t) { t->erase("model"); }));
  add("TokenizerOfAnotherModel", file, "Unigram",
      Tokenizer([](Json* t) { (*t)["model"]["type"] = "Unigram"; }));
  add("TokenizerMergeOfNoToken", file, "merges",
      Tokenizer([](Json* t) { (*t)["model"]["merges"].push_back({"nothing", "else"}); }));
  add("TokenizerNegativeId", file, "vocab",
      Tokenizer([](Json* t) { (*t)["model"]["vocab"]["A"] = -1; }));
  add("TokenizerHugeId", file, "vocab",
      Tokenizer([](Json* t) { (*t)["model"]["vocab"]["A"] = int64_t{1} << 40; }));
  add("TokenizerUnknownPreTokenizer", file, "pre_tokenizer",
      Tokenizer([](Json* t) { (*t)["pre_tokenizer"] = {{"type", "Telepathy"}}; }));
}

}  // namespace

std::vector<MalformedCase> MalformedCases() {
  std::vector<MalformedCase> cases;
  AddPathCases(&cases);
  AddConfigCases(&cases);
  AddSafetensorsCases(&cases);
  AddIndexCases(&cases);
  AddGgufCases(&cases);
  AddTokenizerCases(&cases);
  return cases;
}

void MakeWholeCheckpoint(const std::string& directory) {
  const Status written = Synthesize(directory, TinyConfig(), {.seed = 9, .dtype = DType::kF32});
  ASSERT_TRUE(written) << written.error().message;
  const auto checkpoint = Checkpoint::Open(directory);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  Write(directory + "/model.gguf", ConvertToGguf(*checkpoint).Bytes());
}

}  // namespace merope
