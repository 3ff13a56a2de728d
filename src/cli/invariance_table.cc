#include "cli/invariance_table.h"

#include "cli/verify_table.h"
#include "verify/digits.h"
#include "verify/token_text.h"

namespace merope {

std::string InvarianceTable(const InvarianceResult& r, bool color) {
  std::string text = fmt::format(
      "merope verify --invariance\n  model     {}\n  target    {}, {}\n\n  {} prompts, {} tokens "
      "after each; compared with one sequence at a time, bit for bit\n\n",
      r.model, r.target, r.dtype, r.prompts, r.tokens);
  text += fmt::format("  {} {} {} largest |Δ logit|\n", FitWidth("condition", 48),
                      FitWidth("rows", 6), FitWidth("different", 10));
  for (const InvarianceRow& row : r.rows) {
    text += fmt::format("  {} {} {} {}", FitWidth(row.label, 48),
                        FitWidth(fmt::format("{}", row.rows), 6),
                        FitWidth(fmt::format("{}", row.different), 10), Number(row.largest));
    if (row.different > 0)
      text += fmt::format("  first at position {} of prompt {}", row.position, row.prompt);
    text += "\n";
  }
  return text + fmt::format("\n{}  ({:.1f} s)\n", ColoredVerdict(r.verdict, color), r.seconds);
}

}  // namespace merope
