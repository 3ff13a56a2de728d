// SHA-256, of bytes as they come. Owned and used by one thread.
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
  std::string Hex();  // of all bytes added; nothing may be added after it

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

}  // namespace merope
