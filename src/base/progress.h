// Progress of work that takes more than two seconds: a bar on a terminal's standard error, nothing
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace merope {

class ProgressBar {
 public:
  // Nothing is drawn before delay has passed, or where standard error is no terminal.
  static constexpr auto kDelay = std::chrono::milliseconds(500);
  explicit ProgressBar(std::string label, std::chrono::milliseconds delay = kDelay);
  ~ProgressBar();  // wipes the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // note: what is said behind the bar. The line is cut to the terminal's width.
  void Update(int64_t done, int64_t total, std::string_view note = {});

 private:
  std::string label_;
  bool terminal_, color_, drawn_ = false;
  std::chrono::steady_clock::time_point begin_, first_, last_;
};

// The same of work in phases, one bar after the other: "comparing (3 of 4)".
class PhaseBars {
 public:
  // How many phases there will be; 0: nobody knows. delay: of each bar.
  explicit PhaseBars(int phases = 0, std::chrono::milliseconds delay = ProgressBar::kDelay)
      : phases_(phases), delay_(delay) {}
  void Update(std::string_view phase, int64_t done, int64_t total);
  void Clear() { bar_.reset(); }

 private:
  int phases_, number_ = 0;
  std::chrono::milliseconds delay_;
  std::string phase_;
  std::optional<ProgressBar> bar_;
};

// A bar's line, of at most `width` columns: "label [####....]  40%  12 s left  note". seconds:
// since the work began.
std::string ProgressLine(std::string_view label, double share, double seconds,
                         std::string_view note, int width, bool color);

// Whether standard error (standard output) is a terminal, and whether colours are wanted (NO_COLOR,
// TERM=dumb).
bool ErrorIsTerminal();
bool OutputIsTerminal();
bool WantColor();

}  // namespace merope
