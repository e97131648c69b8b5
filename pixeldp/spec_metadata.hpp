#pragma once

#include <string>

#include "layers/networks/network_spec.hpp"
#include "pixeldp/metadata.hpp"

namespace pixeldp {

/// A network's specification as metadata of a model's file. That of a classifier behind an
/// auto-encoder has the same keys behind "classifier.".
void write_spec(const layers::NetworkSpec& spec, SafetensorsFile& file);

/// What write_spec wrote. Throws an Error that names the key that is missing or no such thing;
/// whether there is such a network, layers::make_network tells.
layers::NetworkSpec read_spec(const Metadata& metadata);

}  // namespace pixeldp
