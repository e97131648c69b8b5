#include "pixeldp/attacks/image_log.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "pixeldp/log_parts.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

/// Lines of an attack log behind its header. Throws an Error where the header is none.
std::size_t images_in(std::string_view text) {
  const std::size_t end = text.find('\n');
  const Json header = Json::parse(text.substr(0, end), nullptr, false);
  if (end == text.npos || !header.is_object() || !header.contains("attack"))
    fail("not an attack log");
  return static_cast<std::size_t>(std::ranges::count(text.substr(end + 1), '\n'));
}

}  // namespace

void check_written_alike(const Json& mine, const Json& line) {
  if (mine != line)
    fail(
        "this program would write it otherwise: keys are missing or are too many, or values are of "
        "another kind");
}

std::string ImageLog::difference(const Json& log, const Json& mine) {
  std::string text;
  const auto compare = [&](const std::string& key) {
    const Json first = log.contains(key) ? log[key] : Json("nothing");
    const Json second = mine.contains(key) ? mine[key] : Json("nothing");
    if (first != second) text += fmt::format("\n{}: {} and {}", key, first.dump(), second.dump());
  };
  for (const auto& [key, value] : mine.items()) compare(key);
  for (const auto& [key, value] : log.items())
    if (!mine.contains(key)) compare(key);
  return text;
}

ImageLog::ImageLog(std::filesystem::path path, const Json& header, bool resume, const Take& take)
    : path_(std::move(path)), file_(path_) {
  if (!resume) make_room(file_, path_, "an attack log", images_in);
  const Bytes bytes = read_file(path_);
  const std::size_t complete = as_text(bytes).rfind('\n') + 1;  // 0 where there is none
  std::string_view text = as_text(bytes).substr(0, complete);
  std::set<std::int64_t> images;
  std::size_t number = 0;
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    ++number;
    Json json;
    std::int64_t image = 0;
    try {
      json = Json::parse(text.substr(0, end));
      if (number > 1) image = take(json);
    } catch (const std::exception& error) {
      fail("{}:{}: not a line of an attack log: {}", path_.string(), number, error.what());
    }
    if (number > 1) {
      if (!images.insert(image).second)
        fail("{}:{}: image {} is in the log already", path_.string(), number, image);
      continue;
    }
    if (const std::string other = difference(json, header); !other.empty()) {
      fail(
          "{}: the attacks cannot be continued, they were made under other conditions (the log's "
          "first, yours second):{}",
          path_.string(), other);
    }
  }
  if (complete == 0) check_cut_header(as_text(bytes), header.dump(), path_, "an attack log");
  if (complete < bytes.size()) file_.truncate(complete);
  if (complete == 0 && !file_.begin(header.dump() + '\n'))
    fail("{}: cannot write the attack log; is the disk full?", path_.string());
}

void ImageLog::append(const Json& line) {
  if (file_.write(line.dump() + '\n')) return;
  fail("{}: cannot write to the attack log; is the disk full? What it holds is kept",
       path_.string());
}

}  // namespace pixeldp
