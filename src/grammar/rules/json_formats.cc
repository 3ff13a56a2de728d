// The strings of the formats of JSON schemas, as regular expressions. For some formats, only the
// plain strings are included.
#include <string>
#include <utility>
#include <vector>

#include "grammar/rules/json_schema_parts.h"
#include "grammar/rules/regex.h"

namespace merope {
namespace {

std::vector<std::pair<std::string, std::string>> Formats() {
  // Leap days are left out, because not every year has them.
  const std::string date =
      "[12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|"
      "(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))";
  const std::string time =
      "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?"
      "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
  // No label has hyphens as its third and fourth characters. Labels with these hyphens ("xn--")
  // have rules of their own.
  const std::string alnum = "[A-Za-z0-9]", any = "[A-Za-z0-9-]";
  const std::string label = alnum + "(" + any + "?" + alnum + "|" + any + any + alnum + "|" + any +
                            "(" + alnum + any + "|-" + alnum + ")" + any + "{0,11}" + alnum + ")?";
  const std::string host = label + "(\\." + label + "){1,3}";
  const std::string byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  return {
      {"date", date},
      {"date-time", date + "T" + time},
      {"duration",
       "P([0-9]{1,4}W|[0-9]{1,4}Y([0-9]{1,2}M([0-9]{1,2}D)?)?|[0-9]{1,2}M([0-9]{1,2}D)?|[0-9]{1,3}"
       "D|"
       "T([0-9]{1,3}H([0-9]{1,2}M([0-9]{1,2}S)?)?|[0-9]{1,3}M([0-9]{1,2}S)?|[0-9]{1,4}S))"},
      {"email", "[A-Za-z0-9_+-]{1,24}(\\.[A-Za-z0-9_+-]{1,16}){0,2}@" + host},
      {"hostname", host},
      {"ipv4", byte + "(\\." + byte + "){3}"},
      {"ipv6", "[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){7}"},
      {"time", time},
      {"uri", "(https?|ftp)://" + host +
                  "(:[0-9]{1,4})?(/[A-Za-z0-9._~-]{1,32}){0,8}/?(\\?[A-Za-z0-9._~=&-]{0,64})?"
                  "(#[A-Za-z0-9._~-]{0,32})?"},
      {"uuid", "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"},
  };
}

}  // namespace

Result<Regular::Term> FormatLanguage(const std::string& format, Regular* regular) {
  static const auto formats = Formats();
  std::string known;
  for (const auto& [name, regex] : formats) {
    if (name == format) return ParseRegex(regex, regular);
    known += (known.empty() ? "" : ", ") + name;
  }
  return Err("format: expected one of {}, found \"{}\"", known, format);
}

}  // namespace merope
