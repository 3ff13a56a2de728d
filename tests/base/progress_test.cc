#include "base/progress.h"

#include <gtest/gtest.h>

namespace merope {
namespace {

TEST(ProgressLine, SaysShareAndWhatIsLeft) {
  EXPECT_EQ(ProgressLine("loading", 0.5, 10, "", 80, false),
            "loading [###############...............]  50%  10 s left");
  EXPECT_EQ(ProgressLine("loading", 0.5, 10, "3 errors", 80, false),
            "loading [###############...............]  50%  10 s left  3 errors");
  EXPECT_EQ(ProgressLine("x", 0.25, 100, "", 80, false),
            "x [#######.......................]  25%  5 min left");
  EXPECT_EQ(ProgressLine("x", 0.5, 10800, "", 40, false),
            "x [##########...........]  50%  3 h left");
  // Nothing to tell it by yet, and nothing left.
  EXPECT_EQ(ProgressLine("x", 0.001, 5, "", 18, false), "x [.........]   0%");
  EXPECT_EQ(ProgressLine("x", 1, 5, "", 18, false), "x [#########] 100%");
  EXPECT_EQ(ProgressLine("x", 1, 5, "", 18, true), "x [\x1b[32m#########\x1b[0m] 100%");
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
