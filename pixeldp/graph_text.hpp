#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "layers/networks/described.hpp"

namespace pixeldp {

/// The nodes of a network that is described node by node, as JSON: a list of objects, each with
/// "leaf", "name", "reads" (a list of values) and the options of that leaf under their names.
std::string graph_text(const std::vector<layers::NodeSpec>& nodes);

/// What graph_text wrote. `what` names the text in the Error thrown for anything else. Whether the
/// nodes make a network, layers::check_network_spec and make_network tell.
std::vector<layers::NodeSpec> parse_graph(std::string_view text, const std::string& what);

}  // namespace pixeldp
