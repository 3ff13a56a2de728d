#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/utf8.h"

namespace merope {
namespace {

int TerminalWidth() {
  constexpr int kUsual = 80;
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

// "9 s", "12 min", "3 h".
std::string Duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} h", seconds / 3600);
}

bool BeginsCharacter(char c) { return !utf8::IsContinuation(c); }

// Labels and notes are merope's own texts and have no wide characters, so one character takes one
// column.
int Columns(std::string_view text) {
  return static_cast<int>(std::ranges::count_if(text, BeginsCharacter));
}

std::string Cut(const std::string& text, int columns) {
  int left = std::max(columns, 0);
  const auto end =
      std::ranges::find_if(text, [&left](char c) { return BeginsCharacter(c) && left-- == 0; });
  return {text.begin(), end};
}

}  // namespace

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
      begin_(std::chrono::steady_clock::now()),
      first_(begin_ + delay),
      last_(first_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::Update(int64_t done, int64_t total, std::string_view note) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now < first_ || (drawn_ && now - last_ < kInterval && done < total)) return;
  last_ = now;
  drawn_ = true;
  const double share =
      total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 0;
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  const std::string line = ProgressLine(label_, share, seconds, note, TerminalWidth() - 1, color_);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
}

void PhaseBars::Update(std::string_view phase, int64_t done, int64_t total) {
  if (phase != phase_ || !bar_) {
    bar_.reset();  // wipes the old bar's line before the new bar draws
    if (phase != phase_) ++number_;
    phase_ = phase;
    bar_.emplace(
        number_ <= phases_ ? fmt::format("{} ({} of {})", phase, number_, phases_) : phase_,
        delay_);
  }
  bar_->Update(done, total);
  if (done == total) bar_.reset();
}

std::string ProgressLine(std::string_view label, double share, double seconds,
                         std::string_view note, int width, bool color) {
  constexpr int kBar = 30, kLeast = 5;
  std::string before(label), after = fmt::format(" {:3.0f}%", share * 100);
  // The remaining time, once enough work is done to estimate it.
  if (share > 0.01 && share < 1 && seconds > 1)
    after += fmt::format("  {} left", Duration(seconds * (1 - share) / share));
  if (!note.empty()) after += fmt::format("  {}", note);
  const int room = width - Columns(before) - Columns(after) - 3;  // " [" and "]"
  if (room < kLeast) return Cut(before + after, width);
  const int bar = std::min(room, kBar), filled = static_cast<int>(share * bar);
  return fmt::format("{} [{}{:#<{}}{}{:.<{}}]{}", before, color ? "\x1b[32m" : "", "", filled,
                     color ? "\x1b[0m" : "", "", bar - filled, after);
}

}  // namespace merope
