// Progress of work that takes more than two seconds: a bar on a terminal's standard error, nothing
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace merope {

class ProgressBar {
 public:
  // Nothing is drawn before delay has passed, or where standard error is no terminal.
  explicit ProgressBar(std::string label,
                       std::chrono::milliseconds delay = std::chrono::milliseconds(500));
  ~ProgressBar();  // wipes the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // note: what is said behind the bar.
  void Update(int64_t done, int64_t total, std::string_view note = {});

 private:
  std::string label_;
  bool terminal_, color_, drawn_ = false;
  std::chrono::steady_clock::time_point first_, last_;
};

// Whether standard error (standard output) is a terminal, and whether colours are wanted (NO_COLOR,
// TERM=dumb).
bool ErrorIsTerminal();
bool OutputIsTerminal();
bool WantColor();

}  // namespace merope
