// Making back ends: their options, and back ends by name. Called by the loader, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace merope {

// How bf16 weights are stored: plain, or packed in 12 bits without loss. kAuto measures briefly at
// load which form a product of one row reads faster, and uses this form. Results are bit-identical
// in both forms.
enum class WeightStorage : uint8_t { kAuto, kPlain, kPacked };
// How K and V are stored. kAuto: in fp32 if products are in fp32, else in bf16. kInt8: as integers
// from −127 to 127, with one scale per token and head. Attention then multiplies these integers
// with queries quantized in the same way and with probabilities of 16 bits.
enum class KvStorage : uint8_t { kAuto, kInt8 };

// What each op's result is rounded to. Other engines keep activations in the weights' type, so they
// round after every op; merope keeps them in fp32. The reference emulates those engines. kBf16 and
// kFp16 also say what the inputs of products and RoPE's cosines are rounded to. Only the reference
// back end takes a value other than kNone, and only with Precision::kBf16.
enum class OpRounding : uint8_t { kNone, kBf16, kFp16 };

struct BackendOptions {
  Precision precision = Precision::kBf16;
  int threads = 0;  // 0: DefaultThreads()
  WeightStorage weights = WeightStorage::kAuto;
  KvStorage kv = KvStorage::kAuto;
  OpRounding op_rounding = OpRounding::kNone;
  // Not 0, with op_rounding: results are rounded up or down at random (stochastic rounding), the
  // same way for the same seed. Each seed is another sample of the format's noise.
  uint64_t rounding_seed = 0;
};

// Back ends by name: kCpuBackend, kReferenceBackend and the registered back ends.
using BackendMaker = std::function<Result<std::unique_ptr<Backend>>(const BackendOptions& options)>;
// Call before other threads make back ends. A name that exists already fails a CHECK.
void RegisterBackend(std::string_view name, BackendMaker maker);
std::vector<std::string> BackendNames();
Result<std::unique_ptr<Backend>> MakeBackend(std::string_view name, const BackendOptions& options);

// The fast back end: Highway kernels for the best instruction set of the CPU.
inline constexpr std::string_view kCpuBackend = "cpu";
std::unique_ptr<Backend> MakeCpuBackend(const BackendOptions& options);
// The reference for comparisons: plain loops, every sum in double. With kBf16, inputs are rounded
// at exactly the same points as in the fast back end.
inline constexpr std::string_view kReferenceBackend = "reference";
std::unique_ptr<Backend> MakeReferenceBackend(const BackendOptions& options);

}  // namespace merope
