#include "base/digest.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"

namespace merope {
namespace {

EVP_MD_CTX* Context(void* context) { return static_cast<EVP_MD_CTX*>(context); }

}  // namespace

void Digest::Free::operator()(void* context) const { EVP_MD_CTX_free(Context(context)); }

Digest::Digest(const void* algorithm) : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr &&
        EVP_DigestInit_ex(Context(context_.get()), static_cast<const EVP_MD*>(algorithm),
                          nullptr) == 1);
}

Sha256::Sha256() : Digest(EVP_sha256()) {}
Sha1::Sha1() : Digest(EVP_sha1()) {}

void Digest::Add(std::span<const std::byte> bytes) {
  CHECK(EVP_DigestUpdate(Context(context_.get()), bytes.data(), bytes.size()) == 1);
}

std::string Digest::Hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(Context(context_.get()), digest.data(), &size) == 1);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace merope
