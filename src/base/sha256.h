// Computes SHA-256 over bytes that the caller adds piece by piece. One thread owns and uses a
// Sha256.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace merope {

class Sha256 {
 public:
  Sha256();
  void Add(std::span<const std::byte> bytes);
  std::string Hex();  // the hash of all added bytes; do not call Add after Hex

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

}  // namespace merope
