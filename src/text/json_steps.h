// Reads the steps of a tokenizer.json: normalizers, pre-tokenizers, post-processors and decoders.
// An unknown step is an error that names the step. Tokenizer::FromJson calls these functions.
// Private to src/text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/decoder.h"
#include "text/pieces.h"

namespace merope {

// where: the file and the field, for errors. A json that is nullptr or null means that there are no
// steps.
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

// Returns the elements of a Sequence in order. Nested Sequences are flattened too. If json is not a
// Sequence, the result contains only json. list: the name of the Sequence's array field.
Result<std::vector<const Json*>> FlattenSequence(const Json& json, const char* list,
                                                 const std::string& where);
// Returns the string field. An absent field is an error.
Result<std::string> RequireString(const JsonFields& fields, const char* field);
// Returns the literal in the field "pattern": {"String": …} or the string itself. Returns nullopt
// for {"Regex": …}.
Result<std::optional<std::string>> ReadLiteral(const JsonFields& fields);
// Returns a matcher for the field "pattern", which may be a literal or a regular expression.
Result<Matcher> ReadPattern(const JsonFields& fields);

}  // namespace merope
