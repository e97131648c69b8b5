#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pixeldp {

/// Throws a usage Error, with the place, for what no YAML of a configuration may hold: another
/// encoding than UTF-8, control characters, line ends of CR alone, a byte order mark within the
/// text. `with_lines`: the place is source:line:column, else just `source`.
void check_config_text(std::string_view text, const std::string& source, bool with_lines = true);

/// A mistake in a text, and its place, both counted from 0.
struct SyntaxError {
  std::size_t line = 0, column = 0;
  std::string text;
};

/// What the author most likely did where the parser met `error`: a tab as indentation, no blank
/// after a colon, a line indented too far. The parser's own words where it is none of these.
SyntaxError explain_syntax_error(std::string_view text, SyntaxError error);

/// Whether it reads like KEY:VALUE, which YAML takes for one word.
bool lacks_blank_after_colon(std::string_view text);

}  // namespace pixeldp
