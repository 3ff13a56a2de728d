// Drives a fuzz target without libFuzzer. The inputs are the given files and the files in the given
// directories, and then mutations of these files. The mutations are the same in every run.
//
//   replay_<target> MUTATIONS PATH...
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "target.h"

namespace {

std::vector<std::string> ReadAll(int n_paths, char** paths) {
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < n_paths; ++i) {
    if (std::filesystem::is_directory(paths[i])) {
      for (const auto& entry : std::filesystem::directory_iterator(paths[i]))
        files.push_back(entry.path());
    } else {
      files.emplace_back(paths[i]);
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return inputs;
}

// Makes one to four edits. An edit changes a byte, removes or doubles a part, inserts a part of
// another input, cuts off the end, or writes an extreme integer of 8 bytes.
std::string Mutate(std::string text, const std::string& other, std::mt19937_64* random) {
  const auto below = [random](size_t n) {
    return static_cast<size_t>((*random)() % std::max<size_t>(n, 1));
  };
  for (size_t edits = 1 + below(4); edits > 0; --edits) {
    const size_t at = below(text.size() + 1), length = below(1 + below(32));
    switch (below(6)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>((*random)());
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      case 3:
        text.insert(at, other.substr(below(other.size()), length));
        break;
      case 4:
        text.resize(at);
        break;
      default:
        static constexpr uint64_t kExtreme[] = {
            0, 1, 0x7F, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ~uint64_t{0}};
        const uint64_t value = kExtreme[below(std::size(kExtreme))];
        for (size_t i = 0; i < 8 && at + i < text.size(); ++i)
          text[at + i] = static_cast<char>(value >> (8 * i));
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s MUTATIONS PATH...\n", argv[0]);
    return 64;
  }
  const std::vector<std::string> inputs = ReadAll(argc - 2, argv + 2);
  if (inputs.empty()) {
    std::fprintf(stderr, "%s: expected seeds in the paths given, found no file\n", argv[0]);
    return 3;
  }
  const auto run = [](const std::string& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  };
  for (const std::string& input : inputs) run(input);
  const long mutations = std::strtol(argv[1], nullptr, 10);
  std::mt19937_64 random(1);
  for (long i = 0; i < mutations; ++i)
    run(Mutate(inputs[random() % inputs.size()], inputs[random() % inputs.size()], &random));
  std::printf("%zu seeds and %ld mutations\n", inputs.size(), mutations);
}
