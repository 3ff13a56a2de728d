// The steps of a tokenizer.json: normalizers, pre-tokenizers, post-processors, decoders. What is
// not known is refused by name. Private to src/text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/decoder.h"
#include "text/pieces.h"

namespace merope {

// where: the file and the field. The Json may be null: no steps.
Status ReadNormalizer(const Json* json, const std::string& where, std::vector<Normalizer>* steps);

struct PreTokenizerSteps {
  std::vector<PreTokenizer> steps;
  bool ends_in_bytes = false;  // the last step is MapBytes
};
Status ReadPreTokenizer(const Json* json, const std::string& where, PreTokenizerSteps* out);

struct PostProcessor {
  std::vector<int32_t> prefix, suffix;
};
Status ReadPostProcessor(const Json* json, const std::string& where, PostProcessor* out);

Status ReadDecoder(const Json* json, const std::string& where, Decoder* decoder);

// The elements of a Sequence, nested ones too, in order; anything else is a list of itself.
Result<std::vector<const Json*>> FlattenSequence(const Json& json, const char* list,
                                                 const std::string& where);
// The string field that is required.
Result<std::string> RequireString(const JsonFields& fields, const char* field);
// The field pattern: {"String": …} or the string itself; nullopt where it is {"Regex": …}.
Result<std::optional<std::string>> ReadLiteral(const JsonFields& fields);
// The same, a regular expression too.
Result<Matcher> ReadPattern(const JsonFields& fields);

}  // namespace merope
