#include "cli/image_range.hpp"

#include <charconv>
#include <string_view>
#include <vector>

#include "engine/error.hpp"

namespace pixeldp::cli {
namespace {

std::vector<std::string_view> split_at_colons(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t colon; (colon = text.find(':')) != std::string_view::npos;
       text.remove_prefix(colon + 1)) {
    parts.push_back(text.substr(0, colon));
  }
  parts.push_back(text);
  return parts;
}

}  // namespace

ImageRange parse_image_range(const std::string& text, std::int64_t size) {
  ImageRange range{.first = 0, .last = size};
  if (text.empty()) return range;
  const auto refuse = [&] {
    fail_usage(
        "--images takes A:B or A:B:STEP, image numbers from A up to but not including B, not '{}'",
        text);
  };
  const auto parts = split_at_colons(text);
  if (parts.size() < 2 || parts.size() > 3) refuse();
  std::int64_t* const values[] = {&range.first, &range.last, &range.step};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    const char* const end = parts[i].data() + parts[i].size();
    const auto [stop, error] = std::from_chars(parts[i].data(), end, *values[i]);
    if (error != std::errc() || stop != end) refuse();
  }
  if (range.step < 1) fail_usage("--images {}: the step must be at least 1", text);
  return range;
}

std::vector<std::int64_t> chosen_images(const std::string& text, const Dataset& dataset,
                                        const std::function<bool(std::int64_t image)>& wanted) {
  const ImageRange range = parse_image_range(text, dataset.size());
  check_images(dataset, range);
  std::vector<std::int64_t> images;
  for (std::int64_t place = 0; place < range.count(); ++place)
    if (wanted(range[place])) images.push_back(range[place]);
  return images;
}

}  // namespace pixeldp::cli
