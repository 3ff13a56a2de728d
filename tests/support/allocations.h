// Counts the allocations of a test program, on all threads. Replaces malloc and mmap. Include this
// header in one source of the program. Sanitizers have their own malloc, so a sanitized program
// does not count, and MEROPE_COUNTS_ALLOCATIONS is not defined.
#pragma once

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEROPE_SANITIZED
#endif
#endif
#ifndef MEROPE_SANITIZED
#define MEROPE_COUNTS_ALLOCATIONS

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace merope {

inline std::atomic<bool> counting_allocations{false};
inline std::atomic<int64_t> allocations{0};

inline void CountAllocation() {
  if (counting_allocations.load(std::memory_order_relaxed))
    allocations.fetch_add(1, std::memory_order_relaxed);
}

// The number of allocations while body runs.
template <class Body>
int64_t AllocationsOf(const Body& body) {
  allocations = 0;
  counting_allocations = true;
  body();
  counting_allocations = false;
  return allocations;
}

}  // namespace merope

// NOLINTBEGIN(bugprone-reserved-identifier, readability-inconsistent-declaration-parameter-name,
// performance-no-int-to-ptr, misc-definitions-in-headers): these are the C library's own names, and
// what its mmap returns.
extern "C" {
#pragma GCC visibility push(default)  // so that libstdc++ calls these functions, too

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t n, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  merope::CountAllocation();
  return __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
  merope::CountAllocation();
  return __libc_calloc(n, size);
}
void* realloc(void* block, size_t size) {
  merope::CountAllocation();
  return __libc_realloc(block, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  merope::CountAllocation();
  return __libc_memalign(alignment, size);
}
void* mmap(void* at, size_t length, int protection, int flags, int file, off_t offset) {
  merope::CountAllocation();
  const long address = syscall(SYS_mmap, at, length, protection, flags, file, offset);
  return reinterpret_cast<void*>(address);
}

#pragma GCC visibility pop
}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier, readability-inconsistent-declaration-parameter-name,
// performance-no-int-to-ptr, misc-definitions-in-headers)

#endif
#endif
