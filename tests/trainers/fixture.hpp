#pragma once

#include "tests/made_mnist.hpp"
#include "trainers/train.hpp"

namespace pixeldp::tests {

/// A made-up data set in a folder of its own, and configurations to train on it.
struct Fixture {
  TemporaryFolder folder;
  Fixture() { write_made_mnist(folder.path()); }
  ConfigNode config(int steps = 24) const {
    return ConfigNode::parse(made_mnist_config(folder.path(), steps), "test.yaml");
  }
};

}  // namespace pixeldp::tests
