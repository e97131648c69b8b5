#include "text/lexer.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace ptxrun {
string without_comments(const string& text) {
  string kept;
  kept.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      kept += text[i++];
      while (i < text.size() && text[i] != '"') {
        if (text[i] == '\\') kept += text[i++];
        kept += text[i++];
      }
      if (i < text.size()) kept += text[i++];
    } else if (text.compare(i, 2, "//") == 0) {
      while (i < text.size() && text[i] != '\n') i++;
    } else if (text.compare(i, 2, "/*") == 0) {
      for (i += 2; i + 1 < text.size() && text.compare(i, 2, "*/") != 0; i++)
        if (text[i] == '\n') kept += '\n';
      i += 2;
    } else {
      kept += text[i++];
    }
  }
  return kept;
}

bool is_word(char c) { return isalnum((u8)c) || c == '_' || c == '$' || c == '%'; }

bool starts_with(const string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

string trim(const string& text) {
  size_t from = 0, to = text.size();
  while (from < to && isspace((u8)text[from])) from++;
  while (to > from && isspace((u8)text[to - 1])) to--;
  return text.substr(from, to - from);
}

vector<string> split(const string& text, char separator) {
  vector<string> pieces;
  int depth = 0;
  string piece;
  for (char c : text) {
    if (c == '{' || c == '(' || c == '[') depth++;
    if (c == '}' || c == ')' || c == ']') depth--;
    if (c == separator && depth == 0) {
      pieces.push_back(trim(piece));
      piece.clear();
    } else {
      piece += c;
    }
  }
  piece = trim(piece);
  if (!piece.empty() || !pieces.empty()) pieces.push_back(piece);
  return pieces;
}

vector<string> split_words(const string& text) {
  vector<string> words(1);
  for (char c : text)
    if (c == '.')
      words.emplace_back();
    else
      words.back() += c;
  return words;
}

string inside(const string& text) {
  char close = text[0] == '{' ? '}' : text[0] == '(' ? ')' : ']';
  return text.substr(1, text.rfind(close) - 1);
}

namespace {
// 0f3F800000 or 0d3FF0000000000000: the bits of a float or a double.
bool parse_float_bits(const string& digits, bool negative, Type type, u64& value) {
  bool single = digits[1] == 'f' || digits[1] == 'F';
  if (!single && digits[1] != 'd' && digits[1] != 'D') return false;
  u64 v = strtoull(digits.c_str() + 2, nullptr, 16);
  if (single) v = (u32)v;
  if (negative) v ^= 1ull << (single ? 31 : 63);
  value = single && type == F64    ? raw((double)bits<float>(v))
          : !single && type == F32 ? raw((float)bits<double>(v))
                                   : v;
  return true;
}
}  // namespace

bool parse_number(const string& text, Type type, u64& value) {
  if (text == "WARP_SZ") {
    value = 32;
    return true;
  }
  if (text.empty()) return false;
  bool negative = text[0] == '-';
  string digits = negative || text[0] == '+' ? trim(text.substr(1)) : text;
  if (digits.empty() || !isdigit((u8)digits[0])) return false;
  char prefix = digits.size() > 1 ? digits[1] : 0;
  if (digits.size() > 2 && digits[0] == '0' && parse_float_bits(digits, negative, type, value))
    return true;
  if (prefix != 'x' && prefix != 'X' && digits.find_first_of(".eE") != string::npos) {
    double v = strtod(digits.c_str(), nullptr);
    if (negative) v = -v;
    value = type == F32 ? raw((float)v) : raw(v);
    return true;
  }
  char* end;
  if (digits[0] == '0' && (prefix == 'b' || prefix == 'B'))
    value = strtoull(digits.c_str() + 2, &end, 2);
  else
    value = strtoull(digits.c_str(), &end, 0);
  while (*end == 'U' || *end == 'u') end++;
  if (*end) return false;
  if (negative) value = 0 - value;
  if (type == F32)
    value = raw((float)(s64)value);
  else if (type == F64)
    value = raw((double)(s64)value);
  return true;
}

Lexer::Lexer(const string& text) : text_(text) {
  for (size_t i = 0; i < text.size(); i++)
    if (text[i] == '\n') line_ends_.push_back(i);
}

int Lexer::line() const {
  return (int)(std::upper_bound(line_ends_.begin(), line_ends_.end(), at_) - line_ends_.begin()) +
         1;
}

char Lexer::next() {
  while (at_ < text_.size() && isspace((u8)text_[at_])) at_++;
  return at_ < text_.size() ? text_[at_] : 0;
}

void Lexer::skip_until(const char* stops) {
  at_ = std::min(text_.size(), text_.find_first_of(stops, at_));
}

string Lexer::identifier() {
  next();
  size_t from = at_;
  while (at_ < text_.size() && is_word(text_[at_])) at_++;
  return text_.substr(from, at_ - from);
}

string Lexer::directive() {
  if (next() != '.') return "";
  at_++;
  return "." + identifier();
}

bool Lexer::take(const char* word) {
  next();
  if (text_.compare(at_, strlen(word), word) != 0) return false;
  at_ += strlen(word);
  return true;
}

bool Lexer::take_label_colon() {
  if (next() != ':' || text_[at_ + 1] == ':') return false;
  at_++;
  return true;
}

string Lexer::rest_of_line() {
  size_t from = at_;
  skip_until("\n");
  return text_.substr(from, at_ - from);
}

string Lexer::statement() {
  next();
  size_t from = at_;
  int depth = 0;
  bool quoted = false;
  for (; at_ < text_.size(); at_++) {
    char c = text_[at_];
    if (quoted) {
      if (c == '\\')
        at_++;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{') {
      depth++;
    } else if (c == '}') {
      depth--;
    } else if (c == ';' && depth == 0) {
      break;
    }
  }
  string found = trim(text_.substr(from, at_ - from));
  at_++;
  return found;
}

string Lexer::parameter_list() {
  if (next() != '(') return "";
  size_t from = ++at_;
  int depth = 1;
  for (; depth && at_ < text_.size(); at_++) {
    if (text_[at_] == '(') depth++;
    if (text_[at_] == ')') depth--;
  }
  return text_.substr(from, at_ - 1 - from);
}

void Lexer::skip_section() {
  skip_until("{");
  int depth = 0;
  do {
    if (at_ >= text_.size()) return;
    if (text_[at_] == '{') depth++;
    if (text_[at_] == '}') depth--;
    at_++;
  } while (depth);
}

unsigned Lexer::dimensions(unsigned n[3]) {
  n[0] = n[1] = n[2] = 1;
  sscanf(text_.substr(at_, 80).c_str(), " %u , %u , %u", &n[0], &n[1], &n[2]);
  return n[0] * n[1] * n[2];
}
}  // namespace ptxrun
