#include "checkpoint/gguf.h"

#include <vector>

#include "checkpoint/gguf_model.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const auto gguf = GgufFile::Parse(AsBytes(data, size), "fuzz.gguf");
  if (!gguf) return 0;
  if (auto vocabulary = ReadGgufVocabulary(*gguf)) {
    if (const auto tokenizer = Tokenizer::FromGguf(std::move(*vocabulary), "fuzz.gguf"))
      (void)tokenizer->Encode("a few words, ½ of them short\n\n  and 123");
  }
  const auto config = GgufConfig(*gguf);
  if (!config) return 0;
  std::vector<std::string> ignored;
  for (const TensorView& tensor : GgufTensors(*gguf, *config, &ignored)) {
    // Whatever was accepted can be read to its last byte.
    std::vector<float> row(static_cast<size_t>(tensor.cols()));
    for (int64_t i = 0; i < tensor.rows() && !row.empty(); ++i) tensor.DecodeRow(i, row);
  }
  return 0;
}
