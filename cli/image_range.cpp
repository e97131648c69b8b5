#include "cli/image_range.hpp"

#include <string_view>
#include <vector>

#include "engine/error.hpp"
#include "engine/text.hpp"

namespace pixeldp::cli {

ImageRange parse_image_range(const std::string& text, std::int64_t size) {
  ImageRange range{.first = 0, .last = size};
  if (text.empty()) return range;
  const auto refuse = [&] {
    fail_usage(
        "--images takes A:B or A:B:STEP, image numbers from A up to but not including B, not '{}'",
        text);
  };
  const auto parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) refuse();
  std::int64_t* const values[] = {&range.first, &range.last, &range.step};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) continue;
    const auto value = parse_number<std::int64_t>(parts[i]);
    if (!value) refuse();
    *values[i] = *value;
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
