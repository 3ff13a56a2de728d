#include "grammar/grammar_compiler.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "grammar/rules/compiled.h"
#include "grammar/rules/ebnf.h"
#include "grammar/rules/json_schema.h"
#include "grammar/rules/regex.h"
#include "grammar/rules/regular_rules.h"
#include "grammar/rules/rules.h"
#include "grammar/rules/texts.h"

namespace {

// The limit on the CPU time for one grammar. The counts below predict xgrammar's work only roughly.
// Debug builds and sanitizers take several times as long.
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr double kMaxSeconds = 1.8;
#else
constexpr double kMaxSeconds = 60;
#endif
thread_local double seconds_end = 0;  // in seconds of this thread's CPU time

double ThreadSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

// xgrammar calls these functions (XGRAMMAR_LOG_CUSTOMIZE and cmake/xgrammar.cmake). BeforePlace
// ends a compilation that takes too long. LogFatalImpl throws the errors of xgrammar.
// LogMessageImpl drops xgrammar's messages.
namespace xgrammar {

void BeforePlace() {
  if (ThreadSeconds() > seconds_end)
    throw std::runtime_error(
        fmt::format("too large: compiling it takes more than {} s", kMaxSeconds));
}

[[noreturn]] void LogFatalImpl(const std::string& /*file*/, int /*line*/,
                               const std::string& message) {
  throw std::runtime_error(message);
}
void LogMessageImpl(const std::string& /*file*/, int /*line*/, int /*level*/,
                    const std::string& /*message*/) {}

}  // namespace xgrammar

namespace merope {
namespace {

constexpr size_t kMaxText = 1 << 18;  // bytes of a schema, of an expression, or of all choices
constexpr int64_t kMaxRulesSize = 1 << 17;
// Checks of one token at one state of the grammar, in total. One check takes 0.02 to 0.2
// microseconds.
constexpr int64_t kMaxChecks = 32'000'000;
// The limit for Rules::Predictions. One prediction takes about two nanoseconds.
constexpr int64_t kMaxPredictions = 300'000'000;
// The limit for Rules::Ambiguity. The parser does these checks in every step. One check takes about
// five nanoseconds.
constexpr int64_t kMaxAmbiguity = 5'000'000;
// Limits of the cache of compiled grammars. The bytes of a grammar include the parts that it shares
// with other grammars.
constexpr size_t kMaxCached = 256;
constexpr int64_t kMaxCachedBytes = 128 << 20;

Result<Rules> ChoiceRules(const std::vector<std::string>& choices) {
  if (choices.empty()) return Err("expected at least one, found none");
  Rules rules;
  rules.root = rules.Add();
  for (const std::string& choice : choices) {
    if (choice.contains('\0')) return Err("a choice has the character NUL");
  }
  AddTexts(choices, rules.root, &rules);
  return rules;
}

Result<Rules> RegexRules(const std::string& regex) {
  Regular regular;
  Rules rules;
  TRY_ASSIGN(const Regular::Term language, ParseRegex(regex, &regular));
  RegularRules texts(&regular, &rules, {.follows = Follows::kEnd});
  TRY_ASSIGN(rules.root, texts.Add(language));
  return rules;
}

// The part of a request that is compiled: the name of its field, and a text of its value. Key
// identifies the compiled grammar in the cache.
struct Wanted {
  const char* field = nullptr;
  std::string text;
  std::string Key() const { return fmt::format("{} {}", field, text); }
};

Result<Wanted> What(const StructuredOutputs& outputs) {
  std::vector<Wanted> wanted;
  if (outputs.json) wanted.push_back({"json", *outputs.json});
  if (outputs.regex) wanted.push_back({"regex", *outputs.regex});
  if (outputs.choice) {
    wanted.push_back({"choice", {}});
    for (const std::string& choice : *outputs.choice) {
      wanted.back().text += fmt::format("{} {}", choice.size(), choice);
    }
  }
  if (outputs.grammar) wanted.push_back({"grammar", *outputs.grammar});
  if (outputs.json_object) wanted.push_back({"json_object", {}});
  if (outputs.structural_tag) {
    return FieldErr("structured_outputs", "structural_tag is not supported");
  }
  if (wanted.size() != 1) {
    return FieldErr("structured_outputs",
                    "expected one of json, regex, choice, grammar and json_object, "
                    "found {}",
                    wanted.size());
  }
  const std::string& text = wanted[0].text;
  if (text.size() > kMaxText) {
    return FieldErr(wanted[0].field, "expected at most {} bytes, found {}", kMaxText, text.size());
  }
  if (const size_t valid = utf8::ValidPrefix(text); valid < text.size()) {
    return FieldErr(wanted[0].field, "not UTF-8 at byte {}", valid);
  }
  return std::move(wanted[0]);
}

Result<Rules> AllRulesOf(const StructuredOutputs& outputs) {
  if (outputs.json) return JsonSchemaRules(*outputs.json);
  if (outputs.regex) return RegexRules(*outputs.regex);
  if (outputs.choice) return ChoiceRules(*outputs.choice);
  if (outputs.grammar) return EbnfRules(*outputs.grammar);
  return JsonObjectRules();
}

// The rules of the request, without alternatives that match no text.
Result<Rules> RulesOf(const StructuredOutputs& outputs) {
  TRY_ASSIGN(Rules rules, AllRulesOf(outputs));
  TRY(rules.Prune());
  if (const int64_t size = rules.Size(); size > kMaxRulesSize)
    return Err("too large: {} symbols of a grammar, more than {}", size, kMaxRulesSize);
  return rules;
}

// The vocabulary in xgrammar's form, with counts of its tokens.
struct Vocabulary {
  Vocabulary(const std::vector<std::string>& tokens, int vocab_size,
             const std::vector<int32_t>& end)
      : tokenizer(tokens, xgrammar::VocabType::RAW, vocab_size, end),
        // xgrammar may use only one thread, the caller's. An exception on another thread would end
        // the process.
        compiler(tokenizer, 1, true, kMaxCachedBytes / 2) {
    std::vector<bool> pairs(size_t{1} << 16);
    for (const std::string& token : tokens) {
      if (token.empty()) continue;
      const auto first = static_cast<unsigned char>(token[0]);
      ++beginning[first];
      const size_t pair =
          first * 256 + (token.size() > 1 ? static_cast<unsigned char>(token[1]) : 0);
      if (!pairs[pair]) ++going_on[first];
      pairs[pair] = true;
    }
  }

  // The number of tokens that begin with a character of the set. For characters outside ASCII, the
  // number is an upper bound.
  int64_t Beginning(const CharSet& set) const {
    int64_t count = 0;
    for (const CharSet::Range& range : set.ranges()) {
      for (char32_t c = range.first; c <= std::min<char32_t>(range.last, 0x7F); ++c) {
        count += beginning[c];
      }
    }
    if (!set.ranges().empty() && set.ranges().back().last > 0x7F) {
      for (size_t byte = 0x80; byte < 256; ++byte) count += beginning[byte];
    }
    return count;
  }

  // Estimates how many checks of tokens the compilation takes.
  int64_t Checks(const Rules& rules) const {
    int64_t checks = 0;
    for (const Rule& rule : rules.rules()) {
      for (const Alternative& alternative : rule.alternatives) {
        for (const Symbol& symbol : alternative) {
          if (const auto* set = std::get_if<CharSet>(&symbol)) checks += Beginning(*set);
          if (const auto* text = std::get_if<std::string>(&symbol)) {
            // Few tokens fit a place in a text. xgrammar skips the other tokens. Tokens with the
            // same beginning are skipped together.
            for (const char c : *text) {
              const auto byte = static_cast<unsigned char>(c);
              checks += going_on[byte] + beginning[byte] / 64;
            }
          }
        }
      }
    }
    return checks;
  }

  Result<std::shared_ptr<const Grammar>> Compile(const StructuredOutputs& outputs) {
    TRY_ASSIGN(Rules rules, RulesOf(outputs));
    if (const int64_t checks = Checks(rules); checks > kMaxChecks) {
      return Err(
          "too large: it has too many places, repetitions counted in, that most tokens fit in: {} "
          "checks of a token, more than {}",
          checks, kMaxChecks);
    }
    if (rules.Predictions(kMaxPredictions) >= kMaxPredictions) {
      return Err("too large: too many rules begin with each other; more than {} predictions",
                 kMaxPredictions);
    }
    if (rules.Ambiguity(beginning, kMaxAmbiguity) >= kMaxAmbiguity) {
      return Err(
          "too ambiguous: it has too many ways to begin with the same character; more than {} "
          "checks "
          "of a token",
          kMaxAmbiguity);
    }
    try {
      return std::make_shared<const Grammar>(compiler.CompileGrammar(rules.Print(), "root"));
    } catch (const std::exception& error) {
      return Err("{}", error.what());
    }
  }

  xgrammar::TokenizerInfo tokenizer;
  xgrammar::GrammarCompiler compiler;
  std::array<int64_t, 256> beginning = {};  // number of tokens, by first byte
  std::array<int64_t, 256> going_on = {};   // number of different second bytes, by first byte
};

}  // namespace

Status CheckGrammar(const StructuredOutputs& outputs) {
  TRY_ASSIGN(const Wanted wanted, What(outputs));
  const Result<Rules> rules = RulesOf(outputs);
  if (!rules) return WithinField(wanted.field, rules.error());
  return {};
}

struct GrammarCompiler::State {
  State(const Tokenizer& the_tokenizer, int64_t size)
      : tokenizer(the_tokenizer), vocab_size(size) {}

  const Tokenizer& tokenizer;
  int64_t vocab_size;
  std::vector<int32_t> end;

  std::once_flag begun;
  std::optional<Vocabulary> vocabulary;  // made for the first grammar, because making it is slow

  using Compiled = Result<std::shared_ptr<const Grammar>>;
  struct Entry {
    std::string key;
    Compiled grammar;
    int64_t bytes = 0;
  };
  std::mutex mutex;  // guards the members below
  std::condition_variable done;
  std::set<std::string, std::less<>> compiling;
  std::list<Entry> entries;  // the last used entry is first
  std::map<std::string, std::list<Entry>::iterator, std::less<>> by_key;

  void MakeVocabulary() {
    std::vector<std::string> tokens(
        static_cast<size_t>(std::min<int64_t>(tokenizer.vocab_size(), vocab_size)));
    for (size_t id = 0; id < tokens.size(); ++id) {
      // A special token stands for no text, so its bytes stay empty.
      const auto token = static_cast<int32_t>(id);
      if (!tokenizer.IsSpecial(token)) tokens[id] = tokenizer.TokenBytes(token);
    }
    vocabulary.emplace(tokens, static_cast<int>(vocab_size), end);
  }
  // The caller of Find and Keep holds the mutex.
  std::optional<Compiled> Find(const std::string& key) {
    const auto found = by_key.find(key);
    if (found == by_key.end()) return std::nullopt;
    entries.splice(entries.begin(), entries, found->second);
    return found->second->grammar;
  }
  void Keep(const std::string& key, Compiled grammar, int64_t bytes) {
    entries.push_front({key, std::move(grammar), bytes + std::ssize(key)});
    by_key[key] = entries.begin();
    int64_t all = 0;
    for (const Entry& entry : entries) all += entry.bytes;
    for (; entries.size() > 1 && (entries.size() > kMaxCached || all > kMaxCachedBytes);
         entries.pop_back()) {
      all -= entries.back().bytes;
      by_key.erase(entries.back().key);
    }
  }
};

GrammarCompiler::GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab_size,
                                 std::span<const int32_t> eos_token_ids)
    : state_(std::make_unique<State>(tokenizer, vocab_size)) {
  for (const int32_t id : eos_token_ids) {
    if (id >= 0 && id < vocab_size) state_->end.push_back(id);
  }
}
GrammarCompiler::~GrammarCompiler() = default;

Result<std::shared_ptr<const Grammar>> GrammarCompiler::Known(const StructuredOutputs& outputs) {
  TRY_ASSIGN(const Wanted wanted, What(outputs));
  const std::lock_guard lock(state_->mutex);
  return state_->Find(wanted.Key()).value_or(nullptr);
}

Result<std::shared_ptr<const Grammar>> GrammarCompiler::Compile(const StructuredOutputs& outputs) {
  TRY_ASSIGN(const Wanted wanted, What(outputs));
  const std::string key = wanted.Key();
  std::unique_lock lock(state_->mutex);
  state_->done.wait(lock, [&] { return !state_->compiling.contains(key); });
  if (auto known = state_->Find(key)) return *std::move(known);
  state_->compiling.insert(key);
  lock.unlock();
  State::Compiled compiled;
  int64_t bytes = 0;
  bool has_memory = true;
  seconds_end = ThreadSeconds() + kMaxSeconds;
  try {
    std::call_once(state_->begun, [this] { state_->MakeVocabulary(); });
    compiled = state_->vocabulary->Compile(outputs);
    if (compiled) bytes = static_cast<int64_t>((*compiled)->compiled.MemorySizeBytes());
  } catch (const std::bad_alloc&) {
    compiled = Err("there is no memory left to compile it");
    has_memory = false;
  }
  if (!compiled) compiled = WithinField(wanted.field, compiled.error());
  lock.lock();
  state_->compiling.erase(key);
  // Errors from a lack of memory or time are not kept, because a later call may succeed.
  if (compiled || (has_memory && ThreadSeconds() <= seconds_end))
    state_->Keep(key, compiled, bytes);
  lock.unlock();
  state_->done.notify_all();
  return compiled;
}

}  // namespace merope
