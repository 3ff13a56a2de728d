// The architectures that merope runs, and their names in files. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace merope {

// All are the Llama architecture with small differences. ModelConfig's functions tell what differs.
//   kQwen2: q, k and v have biases, and no other matrix has one.
//   kQwen3: the heads of q and k are normalized before the rotation.
enum class Architecture : uint8_t { kLlama, kQwen2, kQwen3 };

std::string_view ArchitectureName(Architecture architecture);  // "LlamaForCausalLM"
// "llama": model_type in config.json, and general.architecture in a GGUF file.
std::string_view ModelType(Architecture architecture);

// The architecture of a model_type, or of the name in `architectures`. Empty if there is none.
std::optional<Architecture> ArchitectureOfType(std::string_view model_type);
std::optional<Architecture> ArchitectureOfName(std::string_view name);

// For error messages: "llama, qwen2 or qwen3", and the same of the names in `architectures`.
std::string ModelTypes();
std::string ArchitectureNames();

}  // namespace merope
