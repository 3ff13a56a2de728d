// Reads printed numbers from a text, such as "1,234", "4.10×10⁻⁵", "[0.98, 1.07]" and "5.61 %".
// Checks whether a value rounds to a printed number.
#pragma once

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

struct Printed {
  double value = 0, half_digit = 0;  // half a unit of the last digit
  // Allows a tenth more than half a digit, because scaling the value rounds as well.
  bool Shows(double exact) const { return std::abs(value - exact) <= 1.1 * half_digit; }
};

inline std::vector<Printed> NumbersOf(std::string_view text) {
  std::vector<Printed> numbers;
  const auto digit = [&](size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t i = 0; i < text.size();) {
    if (!digit(i)) {
      ++i;
      continue;
    }
    const bool negative = i > 0 && text[i - 1] == '-';
    std::string digits;
    int decimals = -1;
    for (;; ++i) {
      const bool thousands = i < text.size() && text[i] == ',' && decimals < 0 && digit(i + 1) &&
                             digit(i + 2) && digit(i + 3);
      if (digit(i)) {
        digits += text[i];
        decimals += decimals >= 0;
      } else if (i < text.size() && text[i] == '.' && decimals < 0 && digit(i + 1)) {
        digits += '.';
        decimals = 0;
      } else if (!thousands) {
        break;
      }
    }
    int exponent = 0;
    if (text.substr(i).starts_with("×10")) {
      i += std::string_view("×10").size();
      const bool minus = text.substr(i).starts_with("⁻");
      if (minus) i += std::string_view("⁻").size();
      constexpr std::string_view kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
      for (bool more = true; more;) {
        more = false;
        for (int d = 0; d < 10; ++d)
          if (text.substr(i).starts_with(kDigits[d])) {
            exponent = exponent * 10 + d;
            i += kDigits[d].size();
            more = true;
            break;
          }
      }
      if (minus) exponent = -exponent;
    }
    const double power = std::pow(10.0, exponent);
    numbers.push_back({(negative ? -1 : 1) * std::stod(digits) * power,
                       0.5 * power * std::pow(10.0, -std::max(0, decimals))});
  }
  return numbers;
}

}  // namespace merope
