#include "checkpoint/architecture.h"

#include <fmt/format.h>

#include <iterator>

namespace merope {
namespace {

constexpr std::string_view kNames[] = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"};
constexpr std::string_view kModelTypes[] = {"llama", "qwen2", "qwen3"};
constexpr size_t kArchitectures = std::size(kNames);
static_assert(std::size(kModelTypes) == kArchitectures);

std::optional<Architecture> FindArchitecture(const std::string_view (&texts)[kArchitectures],
                                             std::string_view text) {
  for (size_t i = 0; i < kArchitectures; ++i)
    if (texts[i] == text) return static_cast<Architecture>(i);
  return std::nullopt;
}

std::string Alternatives(const std::string_view (&texts)[kArchitectures]) {
  std::string list;
  for (size_t i = 0; i < kArchitectures; ++i)
    list += fmt::format("{}{}", i == 0 ? "" : i + 1 == kArchitectures ? " or " : ", ", texts[i]);
  return list;
}

}  // namespace

std::string_view ArchitectureName(Architecture architecture) {
  return kNames[static_cast<size_t>(architecture)];
}
std::string_view ModelType(Architecture architecture) {
  return kModelTypes[static_cast<size_t>(architecture)];
}

std::optional<Architecture> ArchitectureOfType(std::string_view model_type) {
  return FindArchitecture(kModelTypes, model_type);
}
std::optional<Architecture> ArchitectureOfName(std::string_view name) {
  return FindArchitecture(kNames, name);
}

std::string ModelTypes() { return Alternatives(kModelTypes); }
std::string ArchitectureNames() { return Alternatives(kNames); }

}  // namespace merope
