// Reads the container, the tokenizer and the tensors of a GGUF file. Then opens the same bytes as a
// checkpoint file and checks the weights.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/weight_check.h"
#include "target.h"

namespace {

using namespace merope;

void UseTokenizer(const GgufFile& gguf) {
  auto vocabulary = ReadGgufVocabulary(gguf);
  if (!vocabulary) return;
  const auto tokenizer = Tokenizer::FromGguf(*std::move(vocabulary), "input");
  if (!tokenizer) return;
  const auto ids =
      tokenizer->Encode("Hello,  world! <s> 123 \xe4\xbd\xa0\n", {.add_special = true});
  if (ids) CHECK(tokenizer->Decode(*ids).has_value());
}

// Reads the file in memory. There AddressSanitizer knows the exact end of the file.
void UseContainer(const uint8_t* data, size_t size) {
  const auto gguf = GgufFile::Parse(AsBytes(data, size), "input");
  if (!gguf) return;
  UseTokenizer(*gguf);
  const auto config = GgufConfig(*gguf);
  if (!config) return;
  std::vector<std::string> ignored;
  for (const TensorView& tensor : GgufTensors(*gguf, *config, &ignored)) ReadAllRows(tensor);
}

void UseCheckpoint(const std::string& path) {
  const auto checkpoint = Checkpoint::Open(path);
  if (!checkpoint) return;
  (void)CheckWeights(*checkpoint);
  (void)checkpoint->chat_template();
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  UseContainer(data, size);
  static const int file = memfd_create("input.gguf", MFD_CLOEXEC);
  CHECK(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  UseCheckpoint("/proc/self/fd/" + std::to_string(file));
  return 0;
}
