// Numbers in text, as C writes them in its own locale: a program may have set another one, with a comma for the point.
#pragma once

#include <locale>
#include <sstream>
#include <string>

namespace dcg {

// False where the text is no number, or more than one.
inline bool parse_number(const std::string &text, double &number) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  in >> number;
  return !in.fail() && in.peek() == std::istringstream::traits_type::eof();
}

}  // namespace dcg
