#include "base/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

namespace merope {
namespace {

// Replaces standard error by a terminal with this number of columns.
class FakeTerminal {
 public:
  explicit FakeTerminal(uint16_t columns) : saved_(dup(STDERR_FILENO)) {
    master_ = posix_openpt(O_RDWR | O_NOCTTY);
    EXPECT_EQ(grantpt(master_), 0);
    EXPECT_EQ(unlockpt(master_), 0);
    const int terminal = open(ptsname(master_), O_RDWR | O_NOCTTY);
    EXPECT_GE(terminal, 0);
    const winsize size = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    EXPECT_EQ(ioctl(terminal, TIOCSWINSZ, &size), 0);
    std::fflush(stderr);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
    setenv("NO_COLOR", "1", 1);
  }
  ~FakeTerminal() {
    unsetenv("NO_COLOR");
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    close(master_);
  }
  FakeTerminal(const FakeTerminal&) = delete;
  FakeTerminal& operator=(const FakeTerminal&) = delete;

  // Returns what was written since the last call. A terminal passes bytes on with a delay, so this
  // function writes a mark and reads up to the mark.
  std::string Written() const {
    constexpr char kMark = '\x01';
    std::string text;
    if (write(STDERR_FILENO, &kMark, 1) != 1) return "no mark";
    for (char c; read(master_, &c, 1) == 1 && c != kMark;) text += c;
    return text;
  }

 private:
  int saved_, master_;
};

constexpr auto kNow = std::chrono::milliseconds(0), kNever = std::chrono::milliseconds(1 << 30);
constexpr const char* kWipe = "\r\x1b[K";

TEST(ProgressBar, DrawsOnATerminalAndWipesItsLine) {
  const FakeTerminal terminal(30);
  {
    ProgressBar bar("x", kNow);
    EXPECT_EQ(terminal.Written(), "");
    bar.Update(1, 4);
    const auto drawn = std::chrono::steady_clock::now();
    // The line has 29 of the 30 columns: the label, " [", 20 columns of the bar, "]", "  25%".
    EXPECT_EQ(terminal.Written(), "\rx [#####...............]  25%\x1b[K");
    bar.Update(2, 4);  // too soon, unless this thread waited for a processor
    if (std::chrono::steady_clock::now() - drawn < std::chrono::milliseconds(99))
      EXPECT_EQ(terminal.Written(), "");
    else
      terminal.Written();
    bar.Update(4, 4, "all");  // the end is always drawn
    EXPECT_EQ(terminal.Written(), "\rx [###############] 100%  all\x1b[K");
    std::this_thread::sleep_for(std::chrono::milliseconds(101));
    bar.Update(9, 4);
    EXPECT_EQ(terminal.Written(), "\rx [####################] 100%\x1b[K");
    bar.Update(1, 0);  // the total is unknown
    EXPECT_EQ(terminal.Written(), "\rx [....................]   0%\x1b[K");
  }
  EXPECT_EQ(terminal.Written(), kWipe);
  {
    ProgressBar late("x", kNever);
    late.Update(1, 1);
  }
  EXPECT_EQ(terminal.Written(), "");
}

TEST(ProgressBar, ATerminalOfUnknownWidthHas80Columns) {
  const FakeTerminal terminal(0);
  ProgressBar bar(std::string(90, 'x'), kNow);
  bar.Update(1, 1);
  EXPECT_EQ(terminal.Written(), "\r" + std::string(79, 'x') + "\x1b[K");
}

TEST(PhaseBars, CountThePhases) {
  const FakeTerminal terminal(60);
  const auto drawn = [&](PhaseBars* bars, const char* phase, int64_t done) {
    bars->Update(phase, done, 4);
    std::string text = terminal.Written();
    // Removes the bars, because the tests above check them.
    for (size_t at; (at = text.find(" [#")) != text.npos || (at = text.find(" [.")) != text.npos;)
      text.erase(at, text.find(']', at) + 1 - at);
    return text;
  };
  PhaseBars two(2, kNow);
  EXPECT_EQ(drawn(&two, "reading", 1), "\rreading (1 of 2)  25%\x1b[K");
  EXPECT_EQ(drawn(&two, "comparing", 2), kWipe + std::string("\rcomparing (2 of 2)  50%\x1b[K"));
  EXPECT_EQ(drawn(&two, "comparing", 4), "\rcomparing (2 of 2) 100%\x1b[K" + std::string(kWipe));
  EXPECT_EQ(drawn(&two, "comparing", 1), "\rcomparing (2 of 2)  25%\x1b[K");  // the phase again
  two.Clear();
  EXPECT_EQ(terminal.Written(), kWipe);
  EXPECT_EQ(drawn(&two, "more", 1), "\rmore  25%\x1b[K");  // a phase after the second
  PhaseBars unknown(0, kNow);
  EXPECT_EQ(drawn(&unknown, "reading", 1), "\rreading  25%\x1b[K");
}

TEST(Terminals, AreToldFromOtherFiles) {
  const int saved = dup(STDOUT_FILENO);
  std::fflush(stdout);
  bool found[2][2];  // [standard error, standard output][no terminal, terminal]
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  dup2(pipes[1], STDOUT_FILENO);
  found[1][0] = OutputIsTerminal();
  {
    const FakeTerminal terminal(80);
    found[0][1] = ErrorIsTerminal();
    dup2(STDERR_FILENO, STDOUT_FILENO);
    found[1][1] = OutputIsTerminal();
    dup2(pipes[1], STDERR_FILENO);
    found[0][0] = ErrorIsTerminal();
  }
  dup2(saved, STDOUT_FILENO);
  for (const int fd : {saved, pipes[0], pipes[1]}) close(fd);
  for (const auto& [without, with] : found) {
    EXPECT_FALSE(without);
    EXPECT_TRUE(with);
  }
}

TEST(WantColor, UnlessTheEnvironmentSaysNo) {
  const char* term = std::getenv("TERM");
  const std::string before = term != nullptr ? term : "";
  const auto want = [](const char* no_color, const char* name) {
    no_color != nullptr ? setenv("NO_COLOR", no_color, 1) : unsetenv("NO_COLOR");
    name != nullptr ? setenv("TERM", name, 1) : unsetenv("TERM");
    return WantColor();
  };
  EXPECT_TRUE(want(nullptr, "xterm"));
  EXPECT_TRUE(want("", "xterm"));
  EXPECT_FALSE(want("1", "xterm"));
  EXPECT_FALSE(want(nullptr, "dumb"));
  EXPECT_FALSE(want(nullptr, nullptr));
  unsetenv("NO_COLOR");
  term != nullptr ? setenv("TERM", before.c_str(), 1) : unsetenv("TERM");
}

TEST(ProgressLine, SaysShareAndWhatIsLeft) {
  EXPECT_EQ(ProgressLine("loading", 0.5, 10, "", 80, false),
            "loading [###############...............]  50%  10 s left");
  EXPECT_EQ(ProgressLine("loading", 0.5, 10, "3 errors", 80, false),
            "loading [###############...............]  50%  10 s left  3 errors");
  EXPECT_EQ(ProgressLine("x", 0.25, 100, "", 80, false),
            "x [#######.......................]  25%  5 min left");
  EXPECT_EQ(ProgressLine("x", 0.5, 10800, "", 40, false),
            "x [##########...........]  50%  3 h left");
  // The line has no time if the share is too small for an estimate, or if the work is finished.
  EXPECT_EQ(ProgressLine("x", 0.001, 5, "", 18, false), "x [.........]   0%");
  EXPECT_EQ(ProgressLine("x", 1, 5, "", 18, false), "x [#########] 100%");
  EXPECT_EQ(ProgressLine("x", 1, 5, "", 18, true), "x [\x1b[32m#########\x1b[0m] 100%");
}

TEST(ProgressLine, TheUnitOfWhatIsLeft) {
  const auto left = [](double share, double seconds) {
    const std::string line = ProgressLine("x", share, seconds, "", 80, false);
    const size_t at = line.find('%');
    return line.substr(at + 1);
  };
  EXPECT_EQ(left(0.5, 99), "  99 s left");
  EXPECT_EQ(left(0.5, 100), "  2 min left");
  EXPECT_EQ(left(0.5, 5999), "  100 min left");
  EXPECT_EQ(left(0.5, 6000), "  2 h left");
  EXPECT_EQ(left(0.25, 2), "  6 s left");
  EXPECT_EQ(left(0.5, 1), "");
  EXPECT_EQ(left(0.01, 50), "");
  EXPECT_EQ(left(0.0101, 1.01), "  99 s left");
}

TEST(ProgressLine, WithoutRoomForFiveColumnsThereIsNoBar) {
  EXPECT_EQ(ProgressLine("abc", 0.5, 0, "", 16, false), "abc [##...]  50%");
  EXPECT_EQ(ProgressLine("abc", 0.5, 0, "", 15, false), "abc  50%");
  EXPECT_EQ(ProgressLine("abc", 0.5, 0, "", 5, false), "abc  ");
  EXPECT_EQ(ProgressLine("éé", 0.5, 0, "", 1, false), "é");
  EXPECT_EQ(ProgressLine("x", 0.5, 0, "", -1, false), "");
  EXPECT_EQ(ProgressLine("", 1, 0, "", 38, false), " [" + std::string(30, '#') + "] 100%");
  EXPECT_EQ(ProgressLine("", 1, 0, "", 99, false), " [" + std::string(30, '#') + "] 100%");
  EXPECT_EQ(ProgressLine("", 1, 0, "", 37, false), " [" + std::string(29, '#') + "] 100%");
}

TEST(ProgressLine, IsNeverWiderThanTheTerminal) {
  for (int width = 0; width < 120; ++width) {
    const std::string line =
        ProgressLine("vérifier (2 of 4)", 0.4, 30, "12 requests, 0 errors", width, false);
    int columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    EXPECT_LE(columns, width) << line;
    EXPECT_GE(columns, std::min(width, 30)) << line;
  }
}

}  // namespace
}  // namespace merope
