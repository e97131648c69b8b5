#include "engine/config_text.hpp"

#include <algorithm>
#include <vector>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

using namespace std::literals;

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

unsigned byte_at(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

bool continues_character(std::string_view text, std::size_t i) {
  return (byte_at(text, i) & 0xc0) == 0x80;
}

std::string place(std::string_view text, std::size_t offset, const std::string& source,
                  bool with_lines) {
  if (!with_lines) return source;
  std::size_t line = 1, column = 1;
  for (std::size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n')
      ++line, column = 1;
    else if (!continues_character(text, i))
      ++column;
  }
  return fmt::format("{}:{}:{}", source, line, column);
}

/// The encoding that the first bytes give away; empty where it may be UTF-8.
std::string_view other_encoding(std::string_view text) {
  if (text.starts_with("\xff\xfe\0\0"sv) || text.starts_with("\0\0\xfe\xff"sv)) return "UTF-32";
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) return "UTF-16";
  // Without a mark: every other byte of a Latin letter is 0.
  if (text.size() >= 2 && (text[0] == '\0') != (text[1] == '\0')) return "UTF-16";
  return {};
}

/// Bytes of the character that begins there, 0 if it is none of UTF-8 (RFC 3629).
std::size_t character_size(std::string_view text, std::size_t i) {
  const unsigned first = byte_at(text, i), second = byte_at(text, i + 1);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (std::size_t k = 1; k < size; ++k)
    if (!continues_character(text, i + k)) return 0;
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool no_character = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return overlong || no_character ? 0 : size;
}

std::string_view line_of(std::string_view text, std::size_t line) {
  std::size_t begin = 0;
  for (; line > 0; --line) {
    begin = text.find('\n', begin);
    if (begin == text.npos) return {};
    ++begin;
  }
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::size_t indentation(std::string_view line) {
  return std::min(line.find_first_not_of(" \t"), line.size());
}

/// Position of the colon of KEY:VALUE at the beginning of a line, npos if it is none.
std::size_t tight_colon(std::string_view line) {
  std::size_t begin = indentation(line);
  if (line.substr(begin).starts_with("- ")) begin = line.find_first_not_of(' ', begin + 1);
  if (begin == line.npos) return line.npos;
  const std::size_t end = line.find_first_not_of(
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", begin);
  const bool tight = end != line.npos && end > begin && line[end] == ':' && end + 1 < line.size() &&
                     line.find_first_of(" \t\r", end + 1) != end + 1;
  return tight ? end : line.npos;
}

}  // namespace

void check_config_text(std::string_view text, const std::string& source, bool with_lines) {
  const auto where = [&](std::size_t offset) { return place(text, offset, source, with_lines); };
  if (const auto encoding = other_encoding(text); !encoding.empty())
    fail_usage("{}: the text is {}: save it as UTF-8", where(0), encoding);
  for (std::size_t i = 0; i < text.size();) {
    const unsigned c = byte_at(text, i);
    if (c == '\r' && byte_at(text, i + 1) != '\n')
      fail_usage("{}: the line ends with CR alone, as on old Macs: save the text with LF or CR LF",
                 where(i));
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
      fail_usage("{}: the control character 0x{:02x}: remove it", where(i), c);
    const std::size_t size = character_size(text, i);
    if (size == 0)
      fail_usage("{}: the byte 0x{:02x} is not UTF-8, is the text Latin-1? Save it as UTF-8",
                 where(i), c);
    if (i > 0 && text.substr(i, size) == byte_order_mark)
      fail_usage("{}: a byte order mark, which cannot be seen, stands within the text: remove it",
                 where(i));
    i += size;
  }
}

bool lacks_blank_after_colon(std::string_view text) { return tight_colon(text) != text.npos; }

SyntaxError explain_syntax_error(std::string_view text, SyntaxError error) {
  // What is wrong with a line shows in it or in the next one.
  std::vector<std::size_t> lines = {error.line};
  if (error.line > 0) lines.push_back(error.line - 1);
  for (const std::size_t number : lines) {
    const std::string_view line = line_of(text, number);
    const std::size_t tab = line.find('\t');
    if (tab < indentation(line))
      return {number, tab, "the line is indented by a tab, and YAML takes blanks only"};
  }
  for (const std::size_t number : lines)
    if (const std::size_t colon = tight_colon(line_of(text, number)); colon != text.npos)
      return {number, colon, "there is no blank after the colon"};
  if (error.text == "illegal map value")
    error.text =
        "no key may stand here: look at the indentation, the colon and the quotes of this line and "
        "the one before";
  else if (error.text == "end of map not found" || error.text == "end of sequence not found")
    error.text = "the line is indented unlike those above it, or a quotation above it does not end";
  else if (error.text.find(" flow not found") != std::string::npos)
    error.text = "a [ or { above does not end";
  return error;
}

}  // namespace pixeldp
