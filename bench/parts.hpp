#pragma once

#include <cstdint>
#include <string>

#include "bench/report.hpp"

namespace pixeldp::bench {

/// What a part may be told.
struct Options {
  int repetitions = 5;                     ///< timed turns, of which the median counts
  std::int64_t depth = 28, widening = 10;  ///< of the wide residual network
  std::int64_t rows = 64;                  ///< of it that are evaluated together
  std::int64_t images = 8, draws = 500;    ///< of each turn of the draws
  std::int64_t batch = 0;                  ///< of a training step; 0: as configured
  std::string source_folder;               ///< has configs/
};

/// Normals, Laplace variables and statistics per second on each instruction set, on data in L2,
/// against the standard library's generator.
void noise(const Options& options, Report& report);

/// Draws of the MNIST CNN against the same network run naively, and what share of a draw's time
/// noise and statistics take.
void draws(const Options& options, Report& report);

/// What follows the noise in a wide residual network, against oneDNN's convolutions alone.
void wide_resnet(const Options& options, Report& report);

/// Products of bytes of each layer of four networks by instruction set and algorithm.
void products(const Options& options, Report& report);

/// Draws per second of the MNIST CNN by the number of draws and of images.
void curve(const Options& options, Report& report);

/// A line of the certificate log, with its chain and its check, as a share of the time of the draws
/// that it holds.
void log(const Options& options, Report& report);

/// What noise costs (Lecuyer et al. 2019, section IV-E): a training step, and predictions by 1 to
/// 1,000 draws as times of plain ones, for the MNIST CNN and WRN-16-1.
void overhead(const Options& options, Report& report);

/// Gradients of many draws in the images, as attacks take them, against draws alone; under the
/// names that bench/pytorch.py gives the same.
void attacks(const Options& options, Report& report);

/// A training step with the noise layer and the projection against one without, and one in bf16
/// against one in fp32.
void training(const Options& options, Report& report);

}  // namespace pixeldp::bench
