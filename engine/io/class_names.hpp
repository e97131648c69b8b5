#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pixeldp {

/// What the classes of a data set show, by label; nothing for digits, which are their own labels,
/// and for names of data sets that are not known here.
std::span<const std::string_view> class_names(std::string_view dataset);

/// "7 (Sneaker)", or the label alone where it has no name.
std::string label_text(std::string_view dataset, int label);
/// The same where the names are known otherwise.
std::string label_text(const std::vector<std::string>& names, int label);

}  // namespace pixeldp
