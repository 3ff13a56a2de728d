#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace merope {

bool ErrorIsTerminal() { return isatty(STDERR_FILENO) != 0; }
bool OutputIsTerminal() { return isatty(STDOUT_FILENO) != 0; }

bool WantColor() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

ProgressBar::ProgressBar(std::string label, std::chrono::milliseconds delay)
    : label_(std::move(label)),
      terminal_(ErrorIsTerminal()),
      color_(WantColor()),
      first_(std::chrono::steady_clock::now() + delay),
      last_(first_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::Update(int64_t done, int64_t total, std::string_view note) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  constexpr int kWidth = 30;
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now < first_ || (drawn_ && now - last_ < kInterval && done < total)) return;
  last_ = now;
  drawn_ = true;
  const double share =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  const int filled = static_cast<int>(share * kWidth);
  const std::string bar(static_cast<size_t>(filled), '#'),
      rest(static_cast<size_t>(kWidth - filled), '.');
  std::fprintf(stderr, "\r%s [%s%s%s%s] %3.0f%%%s%.*s\x1b[K", label_.c_str(),
               color_ ? "\x1b[32m" : "", bar.c_str(), color_ ? "\x1b[0m" : "", rest.c_str(),
               share * 100, note.empty() ? "" : "  ", static_cast<int>(note.size()), note.data());
  std::fflush(stderr);
}

}  // namespace merope
