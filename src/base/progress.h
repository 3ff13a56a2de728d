// Shows the progress of work that takes more than two seconds: a bar on standard error if standard
// error is a terminal, otherwise nothing. The command-line tools and the loader use these classes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace merope {

class ProgressBar {
 public:
  // Update draws nothing before delay has passed, or if standard error is not a terminal.
  static constexpr auto kDelay = std::chrono::milliseconds(500);
  explicit ProgressBar(std::string label, std::chrono::milliseconds delay = kDelay);
  ~ProgressBar();  // wipes the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // note: the text after the bar. The line is cut to the terminal's width.
  void Update(int64_t done, int64_t total, std::string_view note = {});

 private:
  std::string label_;
  bool terminal_, color_, drawn_ = false;
  std::chrono::steady_clock::time_point begin_, first_, last_;
};

// Shows the progress of work in phases. Each phase has its own bar, such as "comparing (3 of 4)".
class PhaseBars {
 public:
  // phases: the number of phases, or 0 if the number is unknown. delay: the delay of each bar.
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

// Returns the line of a bar, at most `width` columns: "label [####....]  40%  12 s left  note".
// share: the finished part of the work, from 0 to 1. seconds: the time since the work began.
std::string ProgressLine(std::string_view label, double share, double seconds,
                         std::string_view note, int width, bool color);

// ErrorIsTerminal and OutputIsTerminal: whether standard error (standard output) is a terminal.
// WantColor: whether the environment allows colours (NO_COLOR, TERM=dumb).
bool ErrorIsTerminal();
bool OutputIsTerminal();
bool WantColor();

}  // namespace merope
