#include "kernels/cuda/libraries/library.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <dlfcn.h>

namespace pixeldp::kernels {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

/// The folder's */lib, in the order of their names.
std::vector<fs::path> libraries_below(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code unreadable;  // is no place for libraries
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable))
    found.push_back(entry.path() / "lib");
  std::ranges::sort(found);
  return found;
}

}  // namespace

std::vector<std::string> library_files(std::string_view file) {
  std::vector<fs::path> folders;
  std::istringstream named(variable("PIXELDP_LIBRARIES", ""));
  for (std::string folder; std::getline(named, folder, ':');) {
    if (folder.empty()) continue;
    folders.emplace_back(folder);
    for (const fs::path& below : libraries_below(folder)) folders.push_back(below);
  }
  folders.push_back(fs::path(variable("CUDA_HOME", "/usr/local/cuda")) / "lib64");
  std::vector<std::string> found;
  std::error_code unreadable;
  for (const fs::path& folder : folders)
    if (fs::exists(folder / file, unreadable)) found.push_back((folder / file).string());
  return found;
}

Library::Library(const char* file, const char* probe) {
  // Of the program itself, dlopen gives a handle that is not null, as RTLD_DEFAULT is.
  handle_ = dlopen(nullptr, RTLD_NOW);
  if (address(probe) != nullptr) return;
  handle_ = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  for (const std::string& path : library_files(file))
    if (handle_ == nullptr) handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

void* Library::address(const char* name) const {
  return handle_ != nullptr ? dlsym(handle_, name) : nullptr;
}

}  // namespace pixeldp::kernels
