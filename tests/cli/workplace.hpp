#pragma once

#include <string>

#include "tests/cli/program.hpp"
#include "tests/made_mnist.hpp"

namespace pixeldp::tests {

/// A data set and a configuration to train on it.
struct Workplace {
  TemporaryFolder folder;
  explicit Workplace(int steps = 24) {
    write_made_mnist(folder.path());
    write_file_atomically(folder / "made.yaml", made_mnist_config(folder.path(), steps));
  }
  Outcome run(const std::string& arguments, const std::string& prefix = "") const {
    return run_program(arguments, folder.path(), prefix);
  }
  std::string data() const { return " --data '" + folder.path().string() + "'"; }
};

}  // namespace pixeldp::tests
