#pragma once

// Characters of PTX text to words, statements and numbers.
#include "program/types.hpp"

namespace ptxrun {
// The text without its comments. Line breaks stay, so that lines keep their numbers.
string without_comments(const string& text);

bool is_word(char c);  // part of a name or directive
bool starts_with(const string& text, const char* prefix);
string trim(const string& text);
// The pieces between separators that no bracket holds, trimmed; none of an empty text.
vector<string> split(const string& text, char separator = ',');
// The words between dots.
vector<string> split_words(const string& text);
// What lies between the first character, a bracket, and the last that closes one like it.
string inside(const string& text);

// A literal as the bits of a value of the type. False: the text is none.
bool parse_number(const string& text, Type type, u64& value);

// A cursor over the text of a module. What it reads may have white space in front.
class Lexer {
 public:
  explicit Lexer(const string& text);

  char next();  // the next character that is no space, 0 at the end
  void skip() { at_++; }
  void skip_until(const char* stops);  // any of these characters
  string identifier();
  string directive();  // with its dot; empty where there is none
  bool take(const char* word);
  bool take_label_colon();
  string rest_of_line();
  string statement();                  // up to the next semicolon outside braces and strings
  string parameter_list();             // what parentheses hold; empty where there are none
  void skip_section();                 // {...}
  unsigned dimensions(unsigned n[3]);  // up to three numbers, 1 each else; their product

  size_t position() const { return at_; }
  void go_back(size_t position) { at_ = position; }
  int line() const;  // of the cursor

 private:
  const string& text_;
  size_t at_ = 0;
  vector<size_t> line_ends_;
};
}  // namespace ptxrun
