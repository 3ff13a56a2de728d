// Computes SHA-256 or SHA-1 over bytes that the caller adds piece by piece. One thread owns and
// uses a digest.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace merope {

class Digest {
 public:
  void Add(std::span<const std::byte> bytes);
  std::string Hex();  // the hash of all added bytes; do not call Add after Hex

 protected:
  // algorithm: a const EVP_MD* of OpenSSL.
  explicit Digest(const void* algorithm);

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

struct Sha256 : Digest {
  Sha256();
};
// For git's names of blobs. SHA-1 does not protect against a forger.
struct Sha1 : Digest {
  Sha1();
};

}  // namespace merope
