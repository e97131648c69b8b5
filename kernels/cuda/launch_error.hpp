#pragma once

#include <array>
#include <cstddef>
#include <source_location>
#include <string_view>

namespace pixeldp::kernels {

/// The name of a kernel (or any function), with its template arguments and without its namespaces.
template <auto function>
constexpr std::string_view kernel_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  constexpr std::string_view before = "function = ";
  text.remove_prefix(text.find(before) + before.size());
  text = text.substr(0, text.find_first_of(";]"));
  const std::size_t scope = text.substr(0, text.find('<')).rfind("::");
  return scope == std::string_view::npos ? text : text.substr(scope + 2);
}

/// Throws the Error of a launch that the device refused. (Apart, to keep the text out of the files
/// that nvcc compiles.)
[[noreturn]] void launch_failed(std::string_view reason, std::string_view kernel,
                                const std::source_location& where,
                                const std::array<unsigned, 3>& grid,
                                const std::array<unsigned, 3>& block, std::size_t shared_bytes);

/// Throws the Error of a device that cannot be used, for this reason.
[[noreturn]] void no_gpu(std::string_view reason);

/// Throws the Error of memory that could not be had.
[[noreturn]] void device_memory_short(std::size_t bytes, std::size_t free, std::size_t total);

/// Throws the Error of a call of the runtime that failed. `what` was tried, say "allocating 4096
/// bytes".
[[noreturn]] void device_call_failed(
    std::string_view reason, std::string_view what,
    const std::source_location& where = std::source_location::current());

}  // namespace pixeldp::kernels
