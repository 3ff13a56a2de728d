#include "grammar/rules/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>

#include "base/utf8.h"

namespace merope {
namespace {

constexpr int64_t kMaxClosure = 4'000'000;  // limit of the steps of Ambiguity from rule to rule

void PrintCharacter(char32_t c, std::string* out) {
  const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  if (plain) {
    out->push_back(static_cast<char>(c));
  } else {
    fmt::format_to(std::back_inserter(*out), "\\U{:08x}", static_cast<uint32_t>(c));
  }
}

void PrintSet(const CharSet& set, std::string* out) {
  out->push_back('[');
  for (const CharSet::Range& range : set.ranges()) {
    PrintCharacter(range.first, out);
    if (range.last == range.first) continue;
    out->push_back('-');
    PrintCharacter(range.last, out);
  }
  out->push_back(']');
}

}  // namespace

int64_t Rules::Size() const {
  int64_t size = 0;
  for (const Rule& rule : rules_) {
    for (const Alternative& alternative : rule.alternatives) {
      ++size;
      for (const Symbol& symbol : alternative) {
        if (const auto* text = std::get_if<std::string>(&symbol)) {
          size += static_cast<int64_t>(text->size());
        } else if (const auto* set = std::get_if<CharSet>(&symbol)) {
          size += static_cast<int64_t>(set->ranges().size());
        } else {
          ++size;
        }
      }
    }
  }
  return size;
}

std::vector<bool> Rules::Closed(bool texts_count) const {
  // Each alternative waits for the rules that it names.
  std::vector<bool> has(rules_.size());
  std::vector<RuleId> found;
  struct Waiting {
    RuleId rule;
    int64_t missing;
  };
  std::vector<Waiting> waiting;
  std::vector<std::vector<size_t>> waits_for(rules_.size());
  const auto find = [&](RuleId rule) {
    if (has[static_cast<size_t>(rule)]) return;
    has[static_cast<size_t>(rule)] = true;
    found.push_back(rule);
  };
  for (size_t i = 0; i < rules_.size(); ++i) {
    for (const Alternative& alternative : rules_[i].alternatives) {
      waiting.push_back({static_cast<RuleId>(i), 0});
      for (const Symbol& symbol : alternative) {
        if (const auto* rule = std::get_if<RuleId>(&symbol)) {
          waits_for[static_cast<size_t>(*rule)].push_back(waiting.size() - 1);
          ++waiting.back().missing;
        } else if (!texts_count) {
          ++waiting.back().missing;  // stays missing
        }
      }
      if (waiting.back().missing == 0) find(static_cast<RuleId>(i));
    }
  }
  for (size_t done = 0; done < found.size();) {
    for (const size_t index : waits_for[static_cast<size_t>(found[done++])]) {
      if (--waiting[index].missing == 0) find(waiting[index].rule);
    }
  }
  return has;
}

Status Rules::Prune() {
  const std::vector<bool> has = Closed(true);
  if (!has[static_cast<size_t>(root)]) return Err("nothing can match it");
  for (Rule& rule : rules_) {
    std::erase_if(rule.alternatives, [&](const Alternative& alternative) {
      return std::ranges::any_of(alternative, [&](const Symbol& symbol) {
        const auto* part = std::get_if<RuleId>(&symbol);
        return part && !has[static_cast<size_t>(*part)];
      });
    });
  }
  return {};
}

int64_t Rules::Predictions(int64_t limit) const {
  const std::vector<bool> nullable = Closed(false);
  std::vector<size_t> seen_by(rules_.size(), rules_.size());
  std::vector<size_t> pending;
  // For each rule: the number of alternatives and symbols that Predictions looks at to find all
  // places where a text of the rule may begin.
  std::vector<int64_t> places(rules_.size());
  int64_t looked_at = 0, predictions = 0;
  for (size_t i = 0; i < rules_.size() && looked_at < limit; ++i) {
    const int64_t before = looked_at;
    pending.assign(1, i);
    seen_by[i] = i;
    for (size_t at = 0; at < pending.size(); ++at) {
      for (const Alternative& alternative : rules_[pending[at]].alternatives) {
        ++looked_at;
        for (const Symbol& symbol : alternative) {
          ++looked_at;
          const auto* part = std::get_if<RuleId>(&symbol);
          if (!part) break;
          const auto rule = static_cast<size_t>(*part);
          if (std::exchange(seen_by[rule], i) != i) pending.push_back(rule);
          if (!nullable[rule]) break;
        }
      }
    }
    places[i] = looked_at - before;
  }
  if (looked_at >= limit) return limit;
  for (const Rule& rule : rules_) {
    for (const Alternative& alternative : rule.alternatives) {
      const auto length = std::ssize(alternative);
      predictions += 8 * length * length;  // xgrammar makes an automaton of `length` states
      // The number of places where this symbol may begin. If the symbol may be empty, the number
      // includes the places of the symbols after it.
      int64_t here = 0;
      for (size_t i = alternative.size(); i > 0 && predictions < limit; --i) {
        const auto* part = std::get_if<RuleId>(&alternative[i - 1]);
        if (!part || !nullable[static_cast<size_t>(*part)]) here = 0;
        here += part ? places[static_cast<size_t>(*part)] : 1;
        predictions += here * here;
      }
    }
  }
  return std::min(looked_at + predictions, limit);
}

int64_t Rules::Ambiguity(std::span<const int64_t, 256> beginning, int64_t limit) const {
  // For each rule and byte: the number of places of the rule where a text that begins with the byte
  // may begin. Only texts of one byte count. Longer texts share their beginnings, and few tokens
  // match them.
  using Places = std::array<int32_t, 256>;
  const std::vector<bool> nullable = Closed(false);
  std::vector<Places> own(rules_.size()), all(rules_.size());
  for (size_t i = 0; i < rules_.size(); ++i) {
    for (const Alternative& alternative : rules_[i].alternatives) {
      for (const Symbol& symbol : alternative) {
        if (const auto* text = std::get_if<std::string>(&symbol); text && text->size() == 1)
          ++own[i][static_cast<unsigned char>(text->front())];
        if (const auto* set = std::get_if<CharSet>(&symbol)) {
          for (const CharSet::Range& range : set->ranges()) {
            for (char32_t c = range.first; c <= std::min<char32_t>(range.last, 0x7F); ++c)
              ++own[i][c];
          }
          const bool wide = !set->empty() && set->ranges().back().last > 0x7F;
          for (size_t byte = 0x80; wide && byte < 256; ++byte) ++own[i][byte];
        }
        const auto* part = std::get_if<RuleId>(&symbol);
        if (!part || !nullable[static_cast<size_t>(*part)]) break;
      }
    }
  }
  std::vector<size_t> seen_by(rules_.size(), rules_.size()), pending;
  int64_t steps = 0;
  for (size_t i = 0; i < rules_.size() && steps < kMaxClosure; ++i) {
    pending.assign(1, i);
    seen_by[i] = i;
    for (size_t at = 0; at < pending.size() && steps < kMaxClosure; ++at, ++steps) {
      const size_t rule = pending[at];
      for (size_t c = 0; c < 256; ++c) all[i][c] += own[rule][c];
      for (const Alternative& alternative : rules_[rule].alternatives) {
        for (const Symbol& symbol : alternative) {
          const auto* part = std::get_if<RuleId>(&symbol);
          if (!part) break;
          if (std::exchange(seen_by[static_cast<size_t>(*part)], i) != i)
            pending.push_back(static_cast<size_t>(*part));
          if (!nullable[static_cast<size_t>(*part)]) break;
        }
      }
    }
  }
  if (steps >= kMaxClosure) return limit;
  int64_t most = 0;
  for (const Rule& rule : rules_) {
    for (const Alternative& alternative : rule.alternatives) {
      std::array<int64_t, 256> here = {};
      for (size_t i = alternative.size(); i > 0 && most < limit; --i) {
        const auto* part = std::get_if<RuleId>(&alternative[i - 1]);
        if (!part || !nullable[static_cast<size_t>(*part)]) here = {};
        if (!part) continue;
        int64_t checks = 0;
        for (size_t c = 0; c < 256; ++c) {
          here[c] += all[static_cast<size_t>(*part)][c];
          if (here[c] > 1) checks += beginning[c] * here[c] * here[c];
        }
        most = std::max(most, checks);
      }
    }
  }
  return std::min(most, limit);
}

std::vector<bool> Rules::Needed() const {
  std::vector<bool> needed(rules_.size());
  std::vector<RuleId> pending = {root};
  needed[static_cast<size_t>(root)] = true;
  while (!pending.empty()) {
    const Rule& rule = rules_[static_cast<size_t>(pending.back())];
    pending.pop_back();
    for (const Alternative& alternative : rule.alternatives) {
      for (const Symbol& symbol : alternative) {
        const auto* part = std::get_if<RuleId>(&symbol);
        if (!part || needed[static_cast<size_t>(*part)]) continue;
        needed[static_cast<size_t>(*part)] = true;
        pending.push_back(*part);
      }
    }
  }
  return needed;
}

std::string Rules::Print() const {
  std::string out;
  const auto name = [&](RuleId rule) { return rule == root ? "root" : fmt::format("r{}", rule); };
  const std::vector<bool> needed = Needed();
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (!needed[i]) continue;
    out += name(static_cast<RuleId>(i)) + " ::= ";
    const char* between = "";
    for (const Alternative& alternative : rules_[i].alternatives) {
      out += std::exchange(between, "| ");
      if (alternative.empty()) out += "\"\" ";
      for (const Symbol& symbol : alternative) {
        if (const auto* text = std::get_if<std::string>(&symbol)) {
          out += '"';
          for (size_t at = 0; at < text->size();) PrintCharacter(utf8::Next(*text, &at), &out);
          out += '"';
        } else if (const auto* set = std::get_if<CharSet>(&symbol)) {
          PrintSet(*set, &out);
        } else {
          out += name(std::get<RuleId>(symbol));
        }
        out += ' ';
      }
    }
    // No text contains the character U+10FFFF, which stands for the end here.
    if (rules_[i].follows == Follows::kEnd) out += "(= \"\\U0010ffff\")";
    if (rules_[i].follows == Follows::kJson) out += "(= [ \\n\\t]* [,:}\\]])";
    out += '\n';
  }
  return out;
}

}  // namespace merope
