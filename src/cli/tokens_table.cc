#include "cli/tokens_table.h"

#include "cli/verify_table.h"
#include "verify/digits.h"

namespace merope {

std::string TokensTable(const TokensResult& r, bool color) {
  std::string text =
      fmt::format("merope verify --tokens\n  model     {}\n  target    {}\n  numerics  {}\n\n",
                  r.model, r.target, r.numerics);
  if (r.unread > 0)
    text += fmt::format("  {} texts left out: the server does not name their tokens\n\n", r.unread);
  if (r.greedy_tokens > 0) {
    text += fmt::format(
        "Greedy: {} tokens of {} texts, {} of them not fp32's choice; mean margin {} nat, the "
        "format's own {}\n",
        r.greedy_tokens, r.greedy_texts, r.flips, Number(r.mean_margin), Number(r.emulated_margin));
    if (r.tokens_for_power > 0)
      text += fmt::format(
          "  a mean margin of twice the format's own shows with 95 % probability in {} tokens\n",
          r.tokens_for_power);
  }
  if (r.sampled_tokens > 0) {
    text += fmt::format("Sampled at temperature 1: {} tokens of {} texts\n", r.sampled_tokens,
                        r.sampled_texts);
    text += "  tokens that show another temperature with 95 % probability:";
    for (const TemperaturePower& p : r.power)
      text += fmt::format(" {}: {};", p.temperature,
                          p.tokens > 0 ? fmt::format("{}", p.tokens) : "not by the mean");
    text.back() = '\n';
  }
  text += "\n";
  for (const GateResult& gate : r.gates)
    text += GateLine(gate, gate.interval || gate.min ? Unit::kNumber : Unit::kCount, color);
  return text + fmt::format("\n{}  ({:.1f} s)\n", ColoredVerdict(r.verdict, color), r.seconds);
}

}  // namespace merope
